// Subscriptions over graphql-transport-ws, by the npm package graphql-ws.
import assert from "node:assert/strict";
import { test } from "node:test";
import { print } from "graphql";
import { createClient, type Client, type ClientOptions } from "graphql-ws";
import { WebSocket } from "ws";
import { BlocksDocument, DeviceCountDocument } from "../build/graphql/graphql.js";
import { Copy, follow } from "./copy.js";
import { grow, reorg, restart, SOCKET_URL, until } from "./stage.js";

const BLOCKS = print(BlocksDocument);
const COUNT = print(DeviceCountDocument);

async function connected(run: (client: Client) => Promise<void>, options: Partial<ClientOptions> = {}): Promise<void> {
  const client = createClient({ url: SOCKET_URL, webSocketImpl: WebSocket, ...options });
  try {
    await run(client);
  } finally {
    await client.dispose();
  }
}

test("answers a query, and completes it", () =>
  connected(async (client) => {
    const answers = [];
    for await (const answer of client.iterate({ query: COUNT })) answers.push(answer);
    assert.deepEqual(Object.keys(answers[0]!.data!), ["devices"]);
    assert.equal(answers.length, 1);
  }));

test("streams what happens", () =>
  connected(async (client) => {
    const copy = await Copy.now();
    const before = copy.events.size;
    const feed = follow(client, copy);
    await copy.becomes(await grow(3));
    assert.equal(copy.events.size, before + 3);
    feed.end();
    await feed.ended;
  }));

test("tells every block", () =>
  connected(async (client) => {
    const blocks = client.iterate<{ blockIndexed: { number: string; hash: string } }>({ query: BLOCKS });
    const first = blocks.next();
    await new Promise((resolve) => setTimeout(resolve, 500)); // it begins now, whenever that is
    const head = await grow();
    const told = (await first).value?.data?.blockIndexed;
    assert.deepEqual(told, head);
    await blocks.return?.();
  }));

test("tells what is wrong with an operation, with its code, and goes on with the others", () =>
  connected(async (client) => {
    const copy = await Copy.now();
    const feed = follow(client, copy);
    const wrong = {
      "{ nothing }": "GRAPHQL_VALIDATION_FAILED",
      "{": "GRAPHQL_PARSE_FAILED",
      'subscription { lifecycleEvents(after: "nonsense") { cursor } }': "BAD_USER_INPUT",
      "subscription { blockIndexed(chainId: 5) { number } }": "BAD_USER_INPUT",
    };
    for (const [query, code] of Object.entries(wrong)) {
      await assert.rejects(client.iterate({ query }).next(), (errors: [{ extensions: { code: string } }]) => {
        assert.equal(errors[0].extensions.code, code, query);
        return true;
      });
    }
    await copy.becomes(await grow());
    feed.end();
    await feed.ended;
  }));

test("ends one operation without touching another", async () => {
  let opened = 0;
  await connected(
    async (client) => {
      const [ended, kept] = [await Copy.now(), await Copy.now()];
      const [first, second] = [follow(client, ended), follow(client, kept)];
      await ended.becomes(await grow());
      const size = ended.events.size;
      first.end();
      await first.ended;
      await kept.becomes(await grow(2));
      assert.equal(ended.events.size, size);
      second.end();
      await second.ended;
      assert.equal(opened, 1);
    },
    { on: { opened: () => void opened++ } },
  );
});

test("serves many operations on many connections at once", async () => {
  const clients = Array.from({ length: 10 }, () => createClient({ url: SOCKET_URL, webSocketImpl: WebSocket }));
  try {
    const start = await Copy.now();
    const copies = clients.flatMap((client) =>
      Array.from({ length: 10 }, () => {
        const copy = new Copy();
        for (const id of start.events) copy.events.add(id);
        copy.cursor = start.cursor;
        follow(client, copy);
        return copy;
      }),
    );
    const head = await grow(5);
    await copies[0]!.becomes(head);
    await until(() => copies.every((copy) => copy.events.size === copies[0]!.events.size), "all 100 copies");
  } finally {
    await Promise.all(clients.map((client) => client.dispose()));
  }
});

test("refuses one operation too many with a code, and keeps the rest", () =>
  connected(async (client) => {
    const feeds = Array.from({ length: 50 }, () => follow(client, new Copy()));
    const refused = follow(client, new Copy());
    await assert.rejects(refused.ended, (errors: [{ extensions: { code: string } }]) => {
      assert.equal(errors[0].extensions.code, "RATE_LIMITED");
      return true;
    });
    for (const feed of feeds) feed.end();
    await Promise.all(feeds.map((feed) => feed.ended));
  }));

test("answers the client's pings", async () => {
  let pongs = 0;
  await connected(() => until(() => pongs > 1, "two pongs"), {
    lazy: false,
    keepAlive: 50,
    on: { pong: (received) => void (pongs += Number(received)) },
  });
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
    await feed.ended;
  }));

test("loses nothing and tells nothing twice when the connection breaks", async () => {
  let socket: WebSocket | undefined;
  let opened = 0;
  await connected(
    async (client) => {
      const copy = await Copy.now();
      const feed = follow(client, copy);
      await copy.becomes(await grow());
      for (let round = 0; round < 3; round++) {
        socket!.terminate();
        await copy.becomes(await (round === 1 ? reorg(2) : grow(2)));
      }
      assert.equal(opened, 4);
      assert.equal(copy.retractions, 2);
      feed.end();
      await feed.ended;
    },
    {
      retryAttempts: 20,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
      on: { opened: (opening) => (opened++, (socket = opening as WebSocket)) },
    },
  );
});

test("loses nothing and tells nothing twice when the server is killed", () =>
  connected(
    async (client) => {
      const copy = await Copy.now();
      const feed = follow(client, copy);
      await copy.becomes(await grow(2));
      const killed = restart();
      await reorg(2);
      await killed;
      await copy.becomes(await grow());
      assert.equal(copy.retractions, 2);
      feed.end();
      await feed.ended;
    },
    {
      retryAttempts: 100,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 200)),
    },
  ));
