// Lighthouse on the pages of the explorer, as on a phone with a slow network.
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import lighthouse, { type Result } from "lighthouse";
import type { Browser } from "playwright-core";
import { launched } from "./browser.js";
import { URL } from "./stage.js";

const SITE = new globalThis.URL(URL).origin;
const CATEGORIES = ["performance", "accessibility", "best-practices"];
const LEAST = 95;
/** A machine that is busy slows a page down, and other judges restart the server: the best of some runs counts. */
const RUNS = 4;
/** Lighthouse multiplies the time of a page's code, to stand for a phone. That is for machines whose benchmark index is
 * this or more; a slower machine does part of it by itself. */
const SLOWDOWN = 4;
const FAST_MACHINE = 1_500;

let browser: Browser;
let port: number;
let slowdown = SLOWDOWN;

before(async () => {
  port = await freePort();
  browser = await launched(`--remote-debugging-port=${port}`);
});

after(() => browser?.close());

const PAGES: Record<string, () => Promise<string>> = {
  "the start page": async () => "/",
  "the list of devices": async () => "/devices",
  "a device": () => linked("/devices?state=RECYCLED", /\/device\/[^"?]+/),
  "the owner of devices": () => linked("/devices", /\/owner\/0x\w+/),
  "a manufacturer": () => linked("/manufacturers", /\/manufacturer\/\d+/),
  "the feed of events": async () => "/events",
  "the audit": async () => "/audit",
  "the status": async () => "/status",
};

for (const [name, find] of Object.entries(PAGES))
  test(`${name} has ${LEAST} or more in ${CATEGORIES.join(", ")}`, async () => {
    let short: string[] = [];
    for (let run = 0; run < RUNS; run += 1) {
      short = await find().then((path) => judge(SITE + path)).then(tooLow, failed);
      if (short.length === 0) return;
    }
    assert.deepEqual(short, []);
  });

/** Waits until the server may be there again. */
async function failed(error: unknown): Promise<string[]> {
  await setTimeout(5_000);
  return [String(error)];
}

async function judge(address: string): Promise<Result> {
  const throttling = { cpuSlowdownMultiplier: slowdown };
  const run = await lighthouse(address, { port, onlyCategories: CATEGORIES, logLevel: "error", throttling });
  assert.ok(run);
  slowdown = Math.min(Math.max((SLOWDOWN * run.lhr.environment.benchmarkIndex) / FAST_MACHINE, 1), SLOWDOWN);
  assert.equal(run.lhr.runtimeError, undefined);
  return run.lhr;
}

/** Returns the categories below the least score, each with the audits that cost it points. */
function tooLow(report: Result): string[] {
  return CATEGORIES.map((name) => report.categories[name]!)
    .filter((category) => Math.round(100 * (category.score ?? 0)) < LEAST)
    .map((category) => {
      const causes = category.auditRefs
        .filter(({ weight }) => weight > 0)
        .map(({ id }) => report.audits[id]!)
        .filter(({ score }) => score !== null && score < 0.9)
        .map(({ id, displayValue }) => (displayValue ? `${id} ${displayValue}` : id));
      return `${category.id} ${Math.round(100 * (category.score ?? 0))}: ${causes.join("; ")}`;
    });
}

async function linked(page: string, address: RegExp): Promise<string> {
  const html = await (await fetch(SITE + page)).text();
  const link = new RegExp(`href="(${address.source})"`).exec(html)?.[1];
  assert.ok(link, `${page} links to no ${address.source}`);
  return link;
}

/** Returns a port that nothing listens on: Lighthouse controls the browser through it. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
