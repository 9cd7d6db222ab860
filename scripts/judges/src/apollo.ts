// Pages in a cache, subscriptions and persisted queries, by Apollo Client.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";
import {
  DevicePagesDocument,
  FeedDocument,
  DevicePartsDocument,
  FirmwarePagesDocument,
  OtherDevicePartsDocument,
  type DevicePagesQuery,
  type DevicesOfOwnerQuery,
  type FirmwarePagesQueryVariables,
} from "../build/graphql/graphql.js";
import { followThroughReorg } from "./copy.js";
import { DIRECTIONS, fleet, readLaterPageAfterChanges } from "./pages.js";
import { keepsEveryField, typePolicies } from "./policies.js";
import { grow, SOCKET_URL, until, URL } from "./stage.js";

function apollo(link: ApolloLink = new HttpLink({ uri: URL })): ApolloClient {
  const devices = relayStylePagination(["filterBy", "orderBy", "asOf"]);
  return new ApolloClient({ link, cache: new InMemoryCache({ typePolicies: { ...typePolicies, Query: { fields: { devices } } } }) });
}

for (const [direction, { start, next }] of Object.entries(DIRECTIONS)) {
  test(`fetches more, ${direction}, while blocks come`, async () => {
    const wanted = await fleet();
    const client = apollo();
    const pages = client.watchQuery({ query: DevicePagesDocument, variables: start });
    const watching = pages.subscribe(() => {});
    const shown = () => pages.getCurrentResult().data?.devices;
    await until(() => shown() !== undefined, "the first page");
    for (let more = next(shown()!.pageInfo as DevicePagesQuery["devices"]["pageInfo"]); more; await grow()) {
      const { data } = await pages.fetchMore({ variables: more });
      more = next(data!.devices.pageInfo);
    }
    await until(() => shown()!.edges!.length === wanted.length, "all pages");
    assert.deepEqual(names(client.readQuery({ query: DevicePagesDocument, variables: start })), wanted);
    watching.unsubscribe();
    client.stop();
  });
}

test("keeps the present in its cache when it reads a page of an older block", async () => {
  const client = new ApolloClient({ link: new HttpLink({ uri: URL }), cache: new InMemoryCache() });
  const read = (fetchPolicy: "network-only" | "cache-only") => async (variables: FirmwarePagesQueryVariables) =>
    (await client.query({ query: FirmwarePagesDocument, variables, fetchPolicy })).data!;
  await readLaterPageAfterChanges({ network: read("network-only"), cache: read("cache-only") });
  client.stop();
});

test("keeps every field of parts without ids, by the policies of the documentation", async () => {
  const client = apollo();
  const reads = (fetchPolicy: "network-only" | "cache-only") => ({
    parts: async (variables: { id: string }) =>
      (await client.query({ query: DevicePartsDocument, variables, fetchPolicy })).data!,
    others: async (variables: { id: string }) =>
      (await client.query({ query: OtherDevicePartsDocument, variables, fetchPolicy })).data!,
  });
  await keepsEveryField({ network: reads("network-only"), cache: reads("cache-only") });
  client.stop();
});

test("subscribes over WebSocket, through a reorg", async () => {
  const socket = createClient({ url: SOCKET_URL, webSocketImpl: WebSocket });
  const client = apollo(new GraphQLWsLink(socket));
  await followThroughReorg((copy, failed) => {
    const variables = { after: copy.cursor };
    const feed = client
      .subscribe({ query: FeedDocument, variables, fetchPolicy: "no-cache" })
      .subscribe(({ data, error }) => (error ? failed(error) : copy.apply(data!.lifecycleEvents)));
    return () => feed.unsubscribe();
  });
  client.stop();
  await socket.dispose();
});

test("sends a document once, then only its hash", async () => {
  const asked: string[] = [];
  const counting: typeof fetch = (input, init) => {
    asked.push(`${init?.method} ${String(input).includes("query=") || String(init?.body).includes('"query":')}`);
    return fetch(input, init);
  };
  const hashed = new PersistedQueryLink({
    sha256: (text) => createHash("sha256").update(text).digest("hex"),
    useGETForHashedQueries: true,
  });
  const client = apollo(hashed.concat(new HttpLink({ uri: URL, fetch: counting })));
  const query = gql`
    query Persisted${process.pid}($first: Int!) {
      devices(first: $first) {
        nodes {
          id
        }
      }
    }
  `;
  for (const first of [3, 4]) {
    const { data } = await client.query<DevicesOfOwnerQuery>({ query, variables: { first }, fetchPolicy: "no-cache" });
    assert.equal(data!.devices.nodes.length, first);
  }
  assert.deepEqual(asked, ["GET false", "POST true", "GET false"]);
  client.stop();
});

test("is told what is wrong with its code", async () => {
  const client = apollo();
  const refused = client.query({ query: DevicePagesDocument, variables: { first: 101 } });
  await assert.rejects(refused, (error) => {
    assert.ok(CombinedGraphQLErrors.is(error));
    assert.equal(error.errors[0]!.extensions!["code"], "BAD_USER_INPUT");
    return true;
  });
  client.stop();
});

function names(read: DevicePagesQuery | null): string[] {
  return read!.devices.edges.map(({ node }) => node.tokenDID);
}
