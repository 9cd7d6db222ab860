// Subscriptions over server-sent events, by the npm package graphql-sse.
import assert from "node:assert/strict";
import { test } from "node:test";
import { print } from "graphql";
import { createClient, type Client, type ClientOptions, type NetworkError } from "graphql-sse";
import { DeviceCountDocument } from "../build/graphql/graphql.js";
import { Copy, follow } from "./copy.js";
import { grow, reorg, restart, until, URL } from "./stage.js";

const COUNT = print(DeviceCountDocument);
const PERSISTENT = {
  retryAttempts: 100,
  retry: () => new Promise<void>((resolve) => setTimeout(resolve, 100)),
};

async function connected(
  run: (client: Client) => Promise<void>,
  options: Partial<ClientOptions<false>> = {},
): Promise<void> {
  const client = createClient({ url: `${URL}/stream`, ...options });
  try {
    await run(client);
  } finally {
    client.dispose();
  }
}

for (const url of [URL, `${URL}/stream`]) {
  test(`answers a query at ${new globalThis.URL(url).pathname}, and completes it`, () =>
    connected(
      async (client) => {
        const answers = [];
        for await (const answer of client.iterate({ query: COUNT })) answers.push(answer);
        assert.deepEqual(Object.keys(answers[0]!.data!), ["devices"]);
        assert.equal(answers.length, 1);
      },
      { url },
    ));
}

test("streams what happens", () =>
  connected(async (client) => {
    const copy = await Copy.now();
    const before = copy.events.size;
    const feed = follow(client, copy);
    await copy.becomes(await grow(3));
    assert.equal(copy.events.size, before + 3);
    feed.end();
  }));

test("tells what is wrong with an operation, with its code", () =>
  connected(async (client) => {
    const wrong = {
      "{ nothing }": "GRAPHQL_VALIDATION_FAILED",
      "{": "GRAPHQL_PARSE_FAILED",
      'subscription { lifecycleEvents(after: "nonsense") { cursor } }': "BAD_USER_INPUT",
      "subscription { blockIndexed(chainId: 5) { number } }": "BAD_USER_INPUT",
    };
    for (const [query, code] of Object.entries(wrong)) {
      const answers = [];
      for await (const answer of client.iterate({ query })) answers.push(answer);
      assert.deepEqual(
        answers.map(({ errors }) => errors![0]!.extensions!["code"]),
        [code],
      );
    }
  }));

test("serves many streams at once, and each ends alone", () =>
  connected(async (client) => {
    const start = await Copy.now();
    const copies = Array.from({ length: 40 }, () => {
      const copy = new Copy();
      for (const id of start.events) copy.events.add(id);
      copy.cursor = start.cursor;
      return copy;
    });
    const feeds = copies.map((copy) => follow(client, copy));
    await copies[0]!.becomes(await grow(2));
    await until(() => copies.every((copy) => copy.events.size === copies[0]!.events.size), "all 40 copies");
    feeds[1]!.end();
    const size = copies[1]!.events.size;
    await copies[0]!.becomes(await grow(2));
    assert.equal(copies[1]!.events.size, size);
    for (const feed of feeds) feed.end();
  }));

test("tells a client that wants one connection for all what to do instead", async () => {
  const client = createClient({ singleConnection: true, url: `${URL}/stream`, retryAttempts: 0 });
  try {
    await assert.rejects(client.iterate({ query: COUNT }).next(), (error: NetworkError) => {
      assert.equal(error.response?.status, 405);
      return true;
    });
  } finally {
    client.dispose();
  }
});

test("retracts what a reorg took back", () =>
  connected(async (client) => {
    await grow(2);
    const copy = await Copy.now();
    const feed = follow(client, copy);
    await copy.becomes(await grow(2));
    await copy.becomes(await reorg(3));
    assert.equal(copy.retractions, 3);
    feed.end();
  }));

test("loses nothing and tells nothing twice when the connection breaks", async () => {
  let opened = 0;
  let cut = new AbortController();
  const fetchFn: typeof fetch = async (input, init) => {
    cut = new AbortController();
    const response = await fetch(input, init);
    opened += Number(response.ok);
    // breaks as a network does: in the middle of the body
    const { body, status, headers } = response;
    const broken = new TransformStream<Uint8Array, Uint8Array>();
    body!.pipeTo(broken.writable, { signal: cut.signal }).catch(() => {});
    return new Response(broken.readable, { status, headers });
  };
  await connected(
    async (client) => {
      const copy = await Copy.now();
      const feed = follow(client, copy);
      await copy.becomes(await grow());
      for (let round = 0; round < 3; round++) {
        cut.abort(new Error("the network broke"));
        await copy.becomes(await (round === 1 ? reorg(2) : grow(2)));
      }
      assert.equal(opened, 4);
      assert.equal(copy.retractions, 2);
      feed.end();
    },
    { ...PERSISTENT, fetchFn },
  );
});

test("loses nothing and tells nothing twice when the server is killed", () =>
  connected(async (client) => {
    const copy = await Copy.now();
    const feed = follow(client, copy);
    await copy.becomes(await grow(2));
    const killed = restart();
    await reorg(2);
    await killed;
    await copy.becomes(await grow());
    assert.equal(copy.retractions, 2);
    feed.end();
  }, PERSISTENT));
