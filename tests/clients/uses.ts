// A program that uses the generated types: it is checked, and never run.

import type {
  BestOrchestratorsQuery,
  RecordStatsMutation,
  RecordStatsMutationVariables,
  ResultsOfOneQuery,
  ResultsOfOneQueryVariables,
} from './generated/operations.ts';
import type { StatFilter } from './generated/schema.ts';

export const filter: StatFilter = { jobType: 'TRANSCODING', during: { last: '24h' }, successRate: { max: 0 } };
export const variables: ResultsOfOneQueryVariables = { address: '0x1' };
export const posted: RecordStatsMutationVariables = {
  results: [{ region: 'FRA', orchestrator: '0x1', successRate: 1, reportedAt: '2026-11-22T12:00:00Z' }],
};

// @ts-expect-error an address is needed
export const without: ResultsOfOneQueryVariables = {};
// @ts-expect-error there is no such job type
export const wrong: StatFilter = { jobType: 'BAKING' };

export const scores = (answer: BestOrchestratorsQuery): number[] => answer.aggregates.nodes.map((it) => it.score);
export const times = (answer: ResultsOfOneQuery): string[] => answer.stats.nodes.map((it) => it.recordedAt);
export const next = (answer: ResultsOfOneQuery): string | null | undefined => answer.stats.pageInfo.endCursor;
export const refused = (answer: RecordStatsMutation): string[] => answer.recordStats.errors.map((it) => it.code);
