// The module of docs/guides/caches.md, as a client pastes it, and what it must do to a cache.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { KeyingConfig } from "@urql/exchange-graphcache";
import type { TypePolicies } from "@apollo/client";
import {
  DevicePagesDocument,
  type DevicePartsQuery,
  type OtherDevicePartsQuery,
} from "../build/graphql/graphql.js";
import { plain } from "./stage.js";

const page = readFileSync("../../docs/guides/caches.md", "utf8");
const code = /```js\n([^]*?)```/.exec(page)![1]!;
const module = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as {
  typePolicies: TypePolicies;
  keys: KeyingConfig;
};
export const { typePolicies, keys } = module;

/** How a client reads two queries about one device: from the network into its cache, or from the cache alone. */
type Reads = Record<
  "network" | "cache",
  {
    parts: (variables: { id: string }) => Promise<DevicePartsQuery>;
    others: (variables: { id: string }) => Promise<OtherDevicePartsQuery>;
  }
>;

/** Reads other fields of the same parts of a device: the cache must keep those of both queries, without a warning. */
export async function keepsEveryField({ network, cache }: Reads): Promise<void> {
  const { devices } = await plain(DevicePagesDocument, { first: 1 });
  const { id } = devices.edges[0]!.node;
  const warnings: unknown[][] = [];
  const { warn, error } = console;
  console.warn = console.error = (...words: unknown[]) => void warnings.push(words);
  try {
    const parts = await network.parts({ id });
    const others = await network.others({ id });
    assert.deepEqual(await cache.parts({ id }), parts);
    assert.deepEqual(await cache.others({ id }), others);
  } finally {
    Object.assign(console, { warn, error });
  }
  assert.deepEqual(warnings, []);
}
