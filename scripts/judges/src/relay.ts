// Pages that Relay's store collects, refetching by id, and subscriptions, on what relay-compiler made of relay/.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { createClient } from "graphql-ws";
import relay from "relay-runtime";
import { WebSocket } from "ws";
import { followThroughReorg } from "./copy.js";
import { fleet, fleetIds, PAGE } from "./pages.js";
import { grow, SOCKET_URL, URL } from "./stage.js";

const { Environment, Network, Observable, RecordSource, Store } = relay;
const { createOperationDescriptor, fetchQuery, getRequest, getSelector, requestSubscription } = relay;
const made = (name: string) => createRequire(import.meta.url)(`../../relay/${name}.graphql.js`);

type Variables = Record<string, unknown>;
type Edges = { edges: { node: { id: string; tokenDID?: string } }[]; pageInfo: { endCursor: string; hasNextPage: boolean } };

function environment(): InstanceType<typeof Environment> {
  const network = Network.create(async ({ text }, variables) => {
    const response = await fetch(URL, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
      body: JSON.stringify({ query: text, variables }),
    });
    return response.json();
  }, subscribe);
  return new Environment({ network, store: new Store(new RecordSource()) });
}

function subscribe({ text }: { text?: string | null }, variables: Variables) {
  const socket = createClient({ url: SOCKET_URL, webSocketImpl: WebSocket });
  return Observable.create<never>((sink) => {
    const end = socket.subscribe({ query: text!, variables }, sink as never);
    return () => void (end(), socket.dispose());
  });
}

/** Reads on, page by page, as usePaginationFragment does; returns what the store's connection then holds. */
async function collect(
  operation: { query: string; variables: Variables; fragment: string; within?: string },
  more: { query: string; variables: Variables },
  field: string,
  between: () => Promise<unknown>,
): Promise<{ id: string; tokenDID?: string }[]> {
  const store = environment();
  const query = made(operation.query);
  await fetchQuery(store, query, operation.variables).toPromise();
  const root = createOperationDescriptor(getRequest(query), operation.variables);
  const shown = (): Edges => {
    const data = store.lookup(root.fragment).data as Record<string, never>;
    const owner = operation.within ? (data[operation.within] as unknown as Record<string, never>).device : data;
    const selector = getSelector(made(operation.fragment), owner)!;
    return (store.lookup(selector as never).data as unknown as Record<string, Edges>)[field]!;
  };
  const kept = store.retain(root);
  while (shown().pageInfo.hasNextPage) {
    await between();
    const variables = { ...more.variables, cursor: shown().pageInfo.endCursor };
    await fetchQuery(store, made(more.query), variables).toPromise();
  }
  const nodes = shown().edges.map(({ node }) => node);
  kept.dispose();
  return nodes;
}

test("collects all pages in one connection of its store, while blocks come", async () => {
  const variables = { count: PAGE };
  const devices = await collect(
    { query: "FleetQuery", variables, fragment: "Fleet_devices" },
    { query: "FleetPaginationQuery", variables },
    "devices",
    grow,
  );
  assert.deepEqual(
    devices.map(({ tokenDID }) => tokenDID),
    await fleet(),
  );
});

test("reads on in the history of a device by its id", async () => {
  const [id] = await fleetIds();
  const variables = { id, count: 2 };
  const events = await collect(
    { query: "DeviceQuery", variables, fragment: "Device_history", within: "node" },
    { query: "DeviceHistoryPaginationQuery", variables },
    "history",
    async () => {},
  );
  assert.ok(events.length > 2);
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
});

test("subscribes, through a reorg", () =>
  followThroughReorg((copy, failed) => {
    const feed = requestSubscription(environment(), {
      subscription: made("DeviceSubscription"),
      variables: { after: copy.cursor },
      onNext: (answer) => {
        const told = answer as { lifecycleEvents: { cursor: string; retracted: boolean; event: { id: string } } };
        copy.apply(told.lifecycleEvents);
      },
      onError: failed,
    });
    return () => feed.dispose();
  }));
