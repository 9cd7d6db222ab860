// What a React component would ask with usePaginationFragment, without React: pages that Relay itself collects.
import { graphql } from "relay-runtime";

export const FleetQuery = graphql`
  query FleetQuery($count: Int!, $cursor: String) {
    ...Fleet_devices @arguments(count: $count, cursor: $cursor)
  }
`;

export const FleetFragment = graphql`
  fragment Fleet_devices on Query
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" })
  @refetchable(queryName: "FleetPaginationQuery") {
    devices(first: $count, after: $cursor, orderBy: { field: SERIAL_NUMBER, direction: ASC })
      @connection(key: "Fleet_devices", filters: ["orderBy"]) {
      edges {
        node {
          id
          tokenDID
          serialNumber
          ...Device_device
        }
      }
    }
  }
`;
