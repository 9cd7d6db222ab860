// Subscriptions over graphql-transport-ws, by the npm package graphql-ws.
import assert from "node:assert/strict";
import { test } from "node:test";
import { print } from "graphql";
import { createClient, type Client, type ClientOptions } from "graphql-ws";
import { WebSocket } from "ws";
import { BlocksDocument, DeviceCountDocument } from "../build/graphql/graphql.js";
import { Copy, follow } from "./copy.js";
import { testFeed, WRONG, type Connection } from "./feeds.js";
import { grow, SOCKET_URL, until } from "./stage.js";

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

function persistent(run: (client: Client, connection: Connection) => Promise<void>): Promise<void> {
  const connection: Connection = { opened: 0, cut: () => {} };
  return connected((client) => run(client, connection), {
    retryAttempts: 100,
    shouldRetry: () => true,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 200)),
    on: {
      opened: (socket) => {
        connection.opened++;
        connection.cut = () => (socket as WebSocket).terminate();
      },
    },
  });
}

testFeed(connected, persistent);

test("answers a query, and completes it", () =>
  connected(async (client) => {
    const answers = [];
    for await (const answer of client.iterate({ query: COUNT })) answers.push(answer);
    assert.deepEqual(Object.keys(answers[0]!.data!), ["devices"]);
    assert.equal(answers.length, 1);
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
    for (const [query, code] of Object.entries(WRONG)) {
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
        const copy = start.clone();
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
