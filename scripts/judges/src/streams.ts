// Subscriptions over server-sent events, by the npm package graphql-sse.
import assert from "node:assert/strict";
import { test } from "node:test";
import { print } from "graphql";
import { createClient, type Client, type ClientOptions, type NetworkError } from "graphql-sse";
import { DeviceCountDocument } from "../build/graphql/graphql.js";
import { Copy, follow } from "./copy.js";
import { testFeed, WRONG, type Connection } from "./feeds.js";
import { grow, until, URL } from "./stage.js";

const COUNT = print(DeviceCountDocument);

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

function persistent(run: (client: Client, connection: Connection) => Promise<void>): Promise<void> {
  const connection: Connection = { opened: 0, cut: () => {} };
  const fetchFn: typeof fetch = async (input, init) => {
    const cut = new AbortController();
    connection.cut = () => cut.abort(new Error("the network broke"));
    const response = await fetch(input, init);
    connection.opened += Number(response.ok);
    // breaks as a network does: in the middle of the body
    const { body, status, headers } = response;
    const broken = new TransformStream<Uint8Array, Uint8Array>();
    body!.pipeTo(broken.writable, { signal: cut.signal }).catch(() => {});
    return new Response(broken.readable, { status, headers });
  };
  const retry = () => new Promise<void>((resolve) => setTimeout(resolve, 100));
  return connected((client) => run(client, connection), { retryAttempts: 100, retry, fetchFn });
}

testFeed(connected, persistent);

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

test("tells what is wrong with an operation, with its code", () =>
  connected(async (client) => {
    for (const [query, code] of Object.entries(WRONG)) {
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
    const copies = Array.from({ length: 40 }, () => start.clone());
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
