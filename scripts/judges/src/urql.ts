// Pages in a normalized cache, subscriptions and persisted queries, by urql with Graphcache.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, fetchExchange, gql, subscriptionExchange, type Exchange, type ClientOptions } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { persistedExchange } from "@urql/exchange-persisted";
import { createClient } from "graphql-ws";
import { getIntrospectionQuery, type IntrospectionQuery } from "graphql";
import { WebSocket } from "ws";
import {
  DevicePagesDocument,
  FeedDocument,
  DevicePartsDocument,
  FirmwarePagesDocument,
  OtherDevicePartsDocument,
  Q26RefetchDocument,
  type DevicePagesQueryVariables,
  type FirmwarePagesQueryVariables,
} from "../build/graphql/graphql.js";
import { followThroughReorg } from "./copy.js";
import { DIRECTIONS, fleet, fleetIds, readLaterPageAfterChanges } from "./pages.js";
import { keepsEveryField, keys } from "./policies.js";
import { grow, SOCKET_URL, URL } from "./stage.js";

async function introspection(): Promise<IntrospectionQuery> {
  const client = urql();
  const { data, error } = await client.query<IntrospectionQuery>(gql(getIntrospectionQuery()), {});
  assert.equal(error, undefined);
  return data!;
}

function urql(...exchanges: Exchange[]): Client {
  return configured({ exchanges: [...exchanges, fetchExchange] });
}

function configured(options: Pick<ClientOptions, "exchanges" | "fetchSubscriptions" | "fetch">): Client {
  return new Client({ url: URL, preferGetMethod: false, ...options });
}

async function cache(): Promise<Exchange> {
  return cacheExchange({
    schema: await introspection(),
    resolvers: { Query: { devices: relayPagination() } },
    keys,
  });
}

// the first test: Graphcache warns once of each type
test("keeps every field of parts without ids, by the keys of the documentation", async () => {
  const client = urql(await cache());
  const reads = (requestPolicy: "network-only" | "cache-only") => ({
    parts: async (variables: { id: string }) =>
      (await client.query(DevicePartsDocument, variables, { requestPolicy })).data!,
    others: async (variables: { id: string }) =>
      (await client.query(OtherDevicePartsDocument, variables, { requestPolicy })).data!,
  });
  await keepsEveryField({ network: reads("network-only"), cache: reads("cache-only") });
});

for (const [direction, { start, next }] of Object.entries(DIRECTIONS)) {
  test(`collects pages in its cache, knowing the schema, ${direction}`, async () => {
    const wanted = await fleet();
    const client = urql(await cache());
    let merged: string[] = [];
    for (let more: DevicePagesQueryVariables | null = {}; more; await grow()) {
      const variables: DevicePagesQueryVariables = { ...start, ...more };
      const { data, error } = await client.query(DevicePagesDocument, variables);
      assert.equal(error, undefined);
      merged = data!.devices.edges.map(({ node }) => node.tokenDID);
      more = next(data!.devices.pageInfo);
    }
    assert.deepEqual(merged, wanted);
  });
}

test("keeps the present in its cache when it reads a page of an older block", async () => {
  const client = urql(cacheExchange({ keys }));
  const read = (requestPolicy: "network-only" | "cache-only") => async (variables: FirmwarePagesQueryVariables) =>
    (await client.query(FirmwarePagesDocument, variables, { requestPolicy })).data!;
  await readLaterPageAfterChanges({ network: read("network-only"), cache: read("cache-only") });
});

test("reads on in the history of a device by its id", async () => {
  const [id] = await fleetIds();
  const client = urql(await cache());
  const seen = new Set<string>();
  for (let cursor: string | null | undefined, more = true; more; ) {
    const { data, error } = await client.query(Q26RefetchDocument, { id: id!, count: 2, cursor });
    assert.equal(error, undefined);
    const node = data!.node;
    assert.ok(node?.__typename === "Device");
    for (const edge of node.history.edges) seen.add(edge.node.id);
    cursor = node.history.pageInfo.endCursor;
    more = node.history.pageInfo.hasNextPage;
  }
  assert.ok(seen.size > 2);
});

const TRANSPORTS = {
  "over WebSocket": () => {
    const socket = createClient({ url: SOCKET_URL, webSocketImpl: WebSocket });
    const forwarding = subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query! }, sink) }),
      }),
    });
    return { client: configured({ exchanges: [fetchExchange, forwarding] }), end: () => socket.dispose() };
  },
  "by server-sent events, as its own fetch reads them": () => ({
    client: configured({ exchanges: [fetchExchange], fetchSubscriptions: true }),
    end: () => {},
  }),
};

for (const [how, transport] of Object.entries(TRANSPORTS)) {
  test(`subscribes ${how}, through a reorg`, async () => {
    const { client, end } = transport();
    await followThroughReorg((copy, failed) => {
      const feed = client
        .subscription(FeedDocument, { after: copy.cursor })
        .subscribe(({ data, error }) => (error ? failed(error) : copy.apply(data!.lifecycleEvents)));
      return () => feed.unsubscribe();
    });
    await end();
  });
}

test("sends a document once, then only its hash", async () => {
  const asked: string[] = [];
  const client = configured({
    exchanges: [persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange],
    fetch: (input, init) => {
      asked.push(`${init?.method} ${String(input).includes("query=") || String(init?.body).includes('"query":')}`);
      return fetch(input, init);
    },
  });
  for (const first of [3, 4]) {
    const { data, error } = await client.query(DevicePagesDocument, { first, after: undefined });
    assert.equal(error, undefined);
    assert.equal(data!.devices.edges.length, first);
  }
  assert.equal(asked.at(-1), "GET false");
});

test("is told what is wrong with its code", async () => {
  const { error } = await urql().query(DevicePagesDocument, { first: 101 });
  assert.equal(error?.graphQLErrors[0]?.extensions["code"], "BAD_USER_INPUT");
});
