// What every client of pages is measured by: the fleet that the chain holds, and one plain reading of it.
import assert from "node:assert/strict";
import {
  DevicePagesDocument,
  FirmwareDocument,
  type DevicePagesQuery,
  type DevicePagesQueryVariables,
  type FirmwarePagesQuery,
  type FirmwarePagesQueryVariables,
} from "../build/graphql/graphql.js";
import { grow, indexed, plain } from "./stage.js";

export const PAGE = 25;

/** A way to read all pages: the variables of the first one, and those of the page after one; null at the end. */
type Direction = {
  start: DevicePagesQueryVariables;
  next: (page: DevicePagesQuery["devices"]["pageInfo"]) => DevicePagesQueryVariables | null;
};

export const DIRECTIONS: Record<string, Direction> = {
  "forward to the end": {
    start: { first: PAGE },
    next: ({ hasNextPage, endCursor }) => (hasNextPage ? { after: endCursor } : null),
  },
  "backward to the beginning": {
    start: { last: PAGE },
    next: ({ hasPreviousPage, startCursor }) => (hasPreviousPage ? { before: startCursor } : null),
  },
};

type Named = { id: string; tokenDID: string };

/** Returns all devices in the order of DevicePages, as nothing but fetch reads them. */
async function devices(): Promise<Named[]> {
  const found: Named[] = [];
  for (let after: string | null | undefined, more = true; more; ) {
    const { devices } = await plain(DevicePagesDocument, { first: 100, after });
    found.push(...devices.edges.map(({ node }) => node));
    after = devices.pageInfo.endCursor;
    more = devices.pageInfo.hasNextPage;
  }
  const names = new Set(found.map(({ tokenDID }) => tokenDID));
  assert.equal(names.size, Number(process.env["JUDGED_DEVICES"]), "devices that were minted");
  return found;
}

/** Returns the DIDs of all devices in order. A DID is the same on every page; an id of an older block includes it. */
export const fleet = async () => (await devices()).map(({ tokenDID }) => tokenDID);

/** Returns the ids of all devices in order, as of the newest block. */
export const fleetIds = async () => (await devices()).map(({ id }) => id);

/** How a client with a normalized cache reads a page: from the network into its cache, or from the cache alone. */
type Reads = Record<"network" | "cache", (variables: FirmwarePagesQueryVariables) => Promise<FirmwarePagesQuery>>;

/** Reads a page of an older block after the present: the cache must still hold the present, and the page its own block. */
export async function readLaterPageAfterChanges({ network, cache }: Reads): Promise<void> {
  const first = await network({ first: PAGE });
  await indexed(await grow(60));
  const present = await network({ first: 100 });
  const later = await network({ first: PAGE, after: first.devices.pageInfo.endCursor });
  const now = new Map(present.devices.nodes.map((device) => [device.tokenDID, device]));
  const changed = later.devices.nodes.filter(
    ({ tokenDID, firmware }) => now.get(tokenDID)?.firmware?.version !== firmware?.version,
  );
  assert.ok(changed.length > 0, "a device of the later page has changed since its block");
  assert.deepEqual(await cache({ first: 100 }), present);
  for (const { id, firmware } of changed) {
    const { node } = await plain(FirmwareDocument, { id });
    assert.ok(node?.__typename === "Device");
    assert.deepEqual([node.id, node.firmware?.version], [id, firmware?.version]);
  }
}
