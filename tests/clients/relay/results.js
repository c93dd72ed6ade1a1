// The documents that relay-compiler compiles; relay.test.mjs runs what it makes of them.

import { graphql } from 'relay-runtime';

export const page = graphql`
  query resultsPageQuery($address: String!, $count: Int!, $after: String) {
    stats(filter: { orchestrator: { in: [$address] } }, first: $count, after: $after)
      @connection(key: "results_stats", filters: ["filter"]) {
      edges {
        node {
          id
          recordedAt
        }
      }
    }
  }
`;

export const refetched = graphql`
  fragment results_orchestrator on Orchestrator @refetchable(queryName: "resultsOrchestratorQuery") {
    address
    firstSeenAt
    aggregates(groupBy: [JOB_TYPE]) {
      jobType
      score
    }
  }
`;

export const record = graphql`
  mutation resultsRecordMutation($results: [StatInput!]!) {
    recordStats(results: $results) {
      stats {
        id
        successRate
      }
      errors {
        code
        field
      }
    }
  }
`;
