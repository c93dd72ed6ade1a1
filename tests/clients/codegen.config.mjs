// What graphql-codegen makes.

const config = { scalars: { DateTime: 'string', Duration: 'string' }, strictScalars: true, enumsAsTypes: true };

export default {
  schema: '../../schema/schema.graphql',
  documents: 'generated/operations.graphql',
  generates: {
    'generated/schema.ts': { plugins: ['typescript'], config },
    'generated/operations.ts': { plugins: ['typescript-operations'], config },
  },
};
