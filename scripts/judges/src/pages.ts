// What every client of pages is measured by: the fleet that the chain holds, and one plain reading of it.
import assert from "node:assert/strict";
import { DevicePagesDocument, type DevicePagesQuery, type DevicePagesQueryVariables } from "../build/graphql/graphql.js";
import { plain } from "./stage.js";

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

/** Returns the ids of all devices in the order of DevicePages, as nothing but fetch reads them. */
export async function fleet(): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null | undefined, more = true; more; ) {
    const { devices } = await plain(DevicePagesDocument, { first: 100, after });
    ids.push(...devices.edges.map(({ node }) => node.id));
    after = devices.pageInfo.endCursor;
    more = devices.pageInfo.hasNextPage;
  }
  assert.equal(new Set(ids).size, Number(process.env["JUDGED_DEVICES"]), "devices that were minted");
  return ids;
}
