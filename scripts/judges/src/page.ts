// The page at /graphql in a real browser: from this host alone, without an error, and every tab answers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launched } from "./browser.js";
import { grow, until, URL } from "./stage.js";

const HOST = new globalThis.URL(URL).host;

let browser: Browser;
let page: Page;
const complaints: string[] = [];
const asked: string[] = [];

before(async () => {
  browser = await launched();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(60_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url()));
  await page.goto(URL);
});

after(() => browser?.close());

test("shows the editor with its tabs", async () => {
  await page.waitForSelector(".graphiql-execute-button");
  assert.deepEqual(await page.locator(".graphiql-tab-button").allTextContents(), [
    "Device",
    "WhatFails",
    "Past",
    "WhatHappens",
  ]);
  await shot("loaded");
});

test("answers the first click of a new visitor", async () => {
  await isRead("Device");
  await click("device");
});

const FIRST_CLICKS = { Device: "device", WhatFails: "unlicensed", Past: "then" };

for (const [tab, field] of Object.entries(FIRST_CLICKS)) {
  test(`answers the first click on tab ${tab}`, async () => {
    await open(tab);
    await click(field);
    await shot(tab);
  });
}

test("shows what happens, as it happens, until it is told to stop", async () => {
  await open("WhatHappens");
  await page.locator(".graphiql-execute-button").click();
  await page.locator('.graphiql-execute-button[aria-label^="Stop"]').waitFor();
  const seen = new Set<string>();
  await until(async () => {
    await grow(); // it begins now, whenever that is: events come until it has told some
    await new Promise((resolve) => setTimeout(resolve, 500));
    const block = /"number":"(\d+)"/.exec(await answerShown());
    if (block) seen.add(block[1]!);
    return seen.size > 2;
  }, "three events");
  await shot("WhatHappens");
  await page.locator(".graphiql-execute-button").click();
  await page.locator('.graphiql-execute-button[aria-label^="Execute"]').waitFor();
});

test("tells of a mistake in a query", async () => {
  await page.locator(".graphiql-tab-add").click();
  await page.locator(".graphiql-query-editor .CodeMirror").click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText("query Mistake { devices(first: 101) { totalCount } }");
  await isRead("Mistake");
  await page.locator(".graphiql-execute-button").click();
  await shown('"BAD_USER_INPUT"');
});

test("shows the documentation of the schema", async () => {
  await page.locator('button[aria-label="Show Documentation Explorer"]').click();
  await page.locator(".graphiql-doc-explorer-type-name", { hasText: /^Query$/ }).click();
  await page.locator(".graphiql-doc-explorer-field-name", { hasText: /^devices$/ }).click();
  await page.locator(".graphiql-doc-explorer-title", { hasText: /^devices$/ }).waitFor();
  await page.locator(".graphiql-doc-explorer-argument-name", { hasText: /^orderBy$/ }).waitFor();
  await shot("documentation");
});

test("asked this host alone, and complained of nothing", () => {
  assert.ok(asked.length > 5);
  assert.deepEqual(
    asked.filter((url) => !url.startsWith("data:") && new globalThis.URL(url).host !== HOST),
    [],
  );
  assert.ok(asked.some((url) => url.startsWith("ws:")));
  // the mistake above is one that the browser tells of, too
  assert.deepEqual(
    complaints.filter((text) => !/\b400\b/.test(text)),
    [],
  );
});

async function open(tab: string): Promise<void> {
  await page.locator(".graphiql-tab-button", { hasText: tab }).click();
  await isRead(tab);
}

async function click(field: string): Promise<void> {
  // not the introspection query, which a new page sends as well
  const answering = page.waitForResponse((response) => response.request().postData()?.includes(field) ?? false);
  await page.locator(".graphiql-execute-button").click();
  const answer = (await (await answering).json()) as { data: Record<string, unknown>; errors?: unknown };
  assert.equal(answer.errors, undefined);
  assert.ok(answer.data[field]);
  await shown(`"${field}"`);
}

async function isRead(operation: string): Promise<void> {
  await page.locator(".graphiql-query-editor .cm-def", { hasText: operation }).waitFor();
  await new Promise((resolve) => setTimeout(resolve, 1_000)); // GraphiQL reads a new document after 100 ms
}

async function answerShown(): Promise<string> {
  const lines = await page.locator(".result-window .CodeMirror-line").allTextContents();
  return lines.join("").replaceAll(/\s/g, "");
}

async function shown(text: string): Promise<void> {
  await until(async () => (await answerShown()).includes(text), `the page to show ${text}`);
}

async function shot(name: string): Promise<void> {
  await page.screenshot({ path: `build/page-${name}.png` });
}
