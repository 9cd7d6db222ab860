// A copy of all events as docs/reference/feed.md tells a client to keep it. What would be lost or told twice is an error.
import assert from "node:assert/strict";
import { print, type ExecutionResult } from "graphql";
import {
  AllEventsDocument,
  ChangesDocument,
  FeedDocument,
  type FeedSubscription,
} from "../build/graphql/graphql.js";
import { grow, indexed, plain, reorg, until, type Head } from "./stage.js";

type Message = FeedSubscription["lifecycleEvents"];

export class Copy {
  readonly events = new Set<string>();
  cursor: string | undefined;
  retractions = 0;

  /** Reads all that there is now, by pull. */
  static async now(): Promise<Copy> {
    const copy = new Copy();
    for (let more = true; more; ) {
      const { changes } = await plain(ChangesDocument, { after: copy.cursor });
      for (const message of changes.messages) copy.apply(message);
      copy.cursor = changes.endCursor ?? copy.cursor;
      more = changes.hasMore;
    }
    return copy;
  }

  /** Returns another copy that holds the same. */
  clone(): Copy {
    const copy = new Copy();
    for (const id of this.events) copy.events.add(id);
    copy.cursor = this.cursor;
    return copy;
  }

  apply({ cursor, retracted, event }: Pick<Message, "cursor" | "retracted"> & { event: { id: string } }): void {
    assert.equal(this.events.has(event.id), retracted, retracted ? "retracts what was never told" : "told twice");
    if (retracted) this.events.delete(event.id);
    else this.events.add(event.id);
    this.retractions += Number(retracted);
    this.cursor = cursor;
  }

  /** Waits until this is exactly what the chain says at a block. */
  async becomes(head: Head): Promise<void> {
    const wanted = await canonical(head);
    await until(() => same(this.events, wanted), `the copy to be that of block ${head.number}`);
  }
}

/** What the clients of graphql-ws and graphql-sse have in common. */
export type Client = {
  subscribe(
    operation: { query: string; variables: { after?: string } },
    sink: {
      next: (answer: ExecutionResult<FeedSubscription, unknown>) => void;
      error: (error: unknown) => void;
      complete: () => void;
    },
  ): () => void;
};

/** Keeps a copy; after whatever happens to the connection the client goes on from the copy's own cursor. */
export function follow(client: Client, copy: Copy): { end: () => void; ended: Promise<void> } {
  const variables = {
    get after() {
      return copy.cursor;
    },
  };
  let end = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    const next = ({ data, errors }: ExecutionResult<FeedSubscription, unknown>) => {
      try {
        assert.equal(errors, undefined);
        copy.apply(data!.lifecycleEvents);
      } catch (error) {
        reject(error);
      }
    };
    end = client.subscribe({ query: print(FeedDocument), variables }, { next, error: reject, complete: resolve });
  });
  ended.catch(() => {}); // told by `ended`, to who waits for it
  return { end, ended };
}

/** Follows the feed by `subscribe`, which returns how to end it, through a reorg. */
export async function followThroughReorg(
  subscribe: (copy: Copy, failed: (error: unknown) => void) => () => void,
): Promise<void> {
  await grow(2);
  const copy = await Copy.now();
  const failures: unknown[] = [];
  const end = subscribe(copy, (error) => failures.push(error));
  await copy.becomes(await grow(2));
  await copy.becomes(await reorg(3));
  assert.equal(copy.retractions, 3);
  assert.deepEqual(failures, []);
  end();
}

async function canonical(head: Head): Promise<Set<string>> {
  const found = new Set<string>();
  await indexed(head);
  for (let after: string | null | undefined, more = true; more; ) {
    const { lifecycleEvents } = await plain(AllEventsDocument, { after });
    for (const { id } of lifecycleEvents.nodes) found.add(id);
    after = lifecycleEvents.pageInfo.endCursor;
    more = lifecycleEvents.pageInfo.hasNextPage;
  }
  return found;
}

function same(one: Set<string>, other: Set<string>): boolean {
  return one.size === other.size && [...one].every((id) => other.has(id));
}
