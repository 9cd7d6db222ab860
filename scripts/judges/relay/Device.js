// A device whose history is read on by its id: Relay asks `node(id:)` again.
import { graphql } from "relay-runtime";

export const DeviceQuery = graphql`
  query DeviceQuery($id: ID!, $count: Int!) {
    node(id: $id) {
      ...Device_history @arguments(count: $count) @alias(as: "device")
    }
  }
`;

export const DeviceFragment = graphql`
  fragment Device_device on Device {
    tokenDID
    owner
    manufacturer {
      name
    }
  }
`;

export const HistoryFragment = graphql`
  fragment Device_history on Device
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" })
  @refetchable(queryName: "DeviceHistoryPaginationQuery") {
    history(first: $count, after: $cursor) @connection(key: "Device_history") {
      edges {
        node {
          __typename
          id
          kind
        }
      }
    }
  }
`;

export const DeviceSubscription = graphql`
  subscription DeviceSubscription($after: String) {
    lifecycleEvents(after: $after) {
      cursor
      retracted
      event {
        id
        device {
          ...Device_device
        }
      }
    }
  }
`;
