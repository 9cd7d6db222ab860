// Pages, cursors and errors, by the npm package graphql-request.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, GraphQLClient } from "graphql-request";
import {
  DevicePagesDocument,
  DevicesOfOwnerDocument,
  Q25NodesDocument,
  type DevicePagesQueryVariables,
} from "../build/graphql/graphql.js";
import { DIRECTIONS, fleet, fleetIds, PAGE } from "./pages.js";
import { grow, URL } from "./stage.js";

const client = new GraphQLClient(URL);

for (const [direction, { start, next }] of Object.entries(DIRECTIONS)) {
  test(`follows cursors ${direction}, while blocks come`, async () => {
    const wanted = await fleet();
    let read: string[] = [];
    for (let more: DevicePagesQueryVariables | null = {}; more; await grow()) {
      const variables: DevicePagesQueryVariables = { ...start, ...more };
      const { devices } = await client.request(DevicePagesDocument, variables);
      const names = devices.edges.map(({ node }) => node.tokenDID);
      const forward = start.first !== undefined;
      assert.equal(forward ? devices.pageInfo.hasPreviousPage : devices.pageInfo.hasNextPage, read.length > 0);
      read = forward ? [...read, ...names] : [...names, ...read];
      more = next(devices.pageInfo);
    }
    assert.deepEqual(read, wanted);
  });
}

test("reads by GET what it reads by POST", async () => {
  const getting = new GraphQLClient(URL, { method: "GET" });
  const [got, posted] = await Promise.all(
    [getting, client].map((asked) => asked.request(DevicePagesDocument, { first: PAGE })),
  );
  assert.deepEqual(
    got!.devices.edges.map(({ node }) => node),
    posted!.devices.edges.map(({ node }) => node),
  );
});

test("gets objects by their ids, in order, with null in the gaps", async () => {
  const [one, other] = await fleetIds();
  const { nodes } = await client.request(Q25NodesDocument, { ids: [other!, one!] });
  assert.deepEqual(
    nodes.map((node) => node?.id),
    [other, one],
  );
});

test("is told what is wrong, with a code and a status below 500", async () => {
  const { devices } = await client.request(DevicePagesDocument, { first: 1 });
  const owner = devices.edges[0]!.node.owner!;
  const wrong = [
    () => client.request(DevicePagesDocument, { first: 101 }),
    () => client.request(DevicePagesDocument, { first: 5, after: "nonsense" }),
    () => client.request(DevicesOfOwnerDocument, { owner: "0x12", first: 5 }),
    () => client.request(DevicesOfOwnerDocument, { owner, first: 5, after: devices.pageInfo.endCursor! }),
  ];
  for (const ask of wrong) {
    await assert.rejects(ask(), (error: ClientError) => {
      assert.equal(error.response.errors?.[0]?.extensions["code"], "BAD_USER_INPUT");
      assert.ok(error.response.status < 500);
      return true;
    });
  }
});

test("is refused a batch in one request, and told so", async () => {
  await assert.rejects(
    client.batchRequests([{ document: DevicePagesDocument, variables: { first: 1 } }]),
    (error: ClientError) => {
      assert.equal(error.response.status, 400);
      return true;
    },
  );
});
