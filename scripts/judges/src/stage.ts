// What is judged, and what may be let happen to it: see stage.py.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { IndexedBlockDocument } from "../build/graphql/graphql.js";

export const URL = required("JUDGED_URL");
export const SOCKET_URL = URL.replace("http", "ws");
const STAGE_URL = required("STAGE_URL");

export type Head = { number: string; hash: string };

export const grow = (blocks = 1) => ask(`/grow?blocks=${blocks}`);
export const reorg = (depth = 1) => ask(`/reorg?depth=${depth}`);
/** Kills the server as a crash would, and starts it again. */
export const restart = () => ask("/restart");

/** Returns the data of an answer, by nothing but fetch. */
export async function plain<Data, Variables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = await fetch(URL, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const answer = (await response.json()) as { data: Data; errors?: unknown[] };
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer.data;
}

/** Waits until the server answers from this block. */
export async function indexed(head: Head): Promise<void> {
  await until(async () => {
    const { _meta } = await plain(IndexedBlockDocument, {});
    return _meta.chains[0]?.indexed?.hash === head.hash;
  }, `block ${head.number} to be indexed`);
}

export async function until(met: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await met())) {
    if (Date.now() > deadline) throw new Error(`waited 60 s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function ask(path: string): Promise<Head> {
  const response = await fetch(STAGE_URL + path, { method: "POST" });
  const answer = (await response.json()) as Head;
  if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
  return answer;
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run ./scripts/conformance`);
  return value;
}
