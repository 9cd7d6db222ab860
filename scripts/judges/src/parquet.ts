// Exports as Parquet, read by the npm package hyparquet: the rows are those of the same list as NDJSON.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { URL as GRAPHQL } from "./stage.js";

const EXPORT = GRAPHQL.replace("/graphql", "/export");
const TABLES = ["devices", "events", "authorizations", "manufacturers", "hardware-licenses", "flags"];

type Row = Record<string, unknown>;

/** Returns the cells of an object of NDJSON, as Parquet has them. */
function cells(object: Row, above = ""): [string, unknown][] {
  return Object.entries(object).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? cells(value as Row, `${above}${name}.`)
      : [[above + name, value] as [string, unknown]],
  );
}

function plain(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString().replace(".000Z", "Z");
  return typeof value === "bigint" ? Number(value) : value;
}

for (const table of TABLES) {
  test(`hyparquet reads ${table}`, async () => {
    const response = await fetch(`${EXPORT}/${table}.parquet`);
    const file = await response.arrayBuffer();
    // at the same block, as the chain may grow meanwhile
    const block = response.headers.get("as-of")!.match(/hash=(0x[0-9a-f]+)/)![1];
    const lines = (await (await fetch(`${EXPORT}/${table}.ndjson?asOf=${block}`)).text()).trim().split("\n");
    const rows = (await parquetReadObjects({ file })) as Row[];
    assert.equal(rows.length, lines.length);
    lines.forEach((line, place) => {
      for (const [name, value] of cells(JSON.parse(line) as Row)) {
        assert.deepEqual(plain(rows[place]![name] ?? null), value, `${name} of row ${place}`);
      }
    });
    const facts = parquetMetadata(file).key_value_metadata?.find(({ key }) => key === "certindex");
    assert.equal(JSON.parse(facts!.value!).table, table);
  });
}
