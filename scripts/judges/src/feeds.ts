// What a feed must do over every transport, through reorgs and broken connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Copy, follow, type Client } from "./copy.js";
import { grow, reorg, restart } from "./stage.js";

/** Operations that are wrong, with the code of each. */
export const WRONG = {
  "{ nothing }": "GRAPHQL_VALIDATION_FAILED",
  "{": "GRAPHQL_PARSE_FAILED",
  'subscription { lifecycleEvents(after: "nonsense") { cursor } }': "BAD_USER_INPUT",
  "subscription { blockIndexed(chainId: 5) { number } }": "BAD_USER_INPUT",
};

/** The connection of a client that connects again: how often it was opened, and how to break it. */
export type Connection = { opened: number; cut: () => void };

/** `connected` runs with a new client, `persistent` with one that connects again when its connection is lost. */
export function testFeed(
  connected: (run: (client: Client) => Promise<void>) => Promise<void>,
  persistent: (run: (client: Client, connection: Connection) => Promise<void>) => Promise<void>,
): void {
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

  test("loses nothing and tells nothing twice when the connection breaks", () =>
    persistent(async (client, connection) => {
      const copy = await Copy.now();
      const feed = follow(client, copy);
      await copy.becomes(await grow());
      for (let round = 0; round < 3; round++) {
        connection.cut();
        await copy.becomes(await (round === 1 ? reorg(2) : grow(2)));
      }
      assert.equal(connection.opened, 4);
      assert.equal(copy.retractions, 2);
      feed.end();
      await feed.ended;
    }));

  test("loses nothing and tells nothing twice when the server is killed", () =>
    persistent(async (client) => {
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
    }));
}
