// `certindex deliver` and a receiver that verifies by the library of Standard Webhooks and by Node's Ed25519.
import assert from "node:assert";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { grow, reorg, until } from "./stage.js";

type Message = { id: string; body: string; headers: Record<string, string>; event: any };

const folder = mkdtempSync(join(tmpdir(), "certindex-webhooks-"));
const [current, former] = [certindex("secret"), certindex("secret")];
const [privateKey, publicKey] = certindex("secret", "--ed25519").split("\n") as [string, string];
const taken: Message[] = [];
let status = 204;
let sender: ChildProcess;

const receiver = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    const headers = request.headers as Record<string, string>;
    const event = new Webhook(current).verify(body, headers); // throws if it is not from the sender
    if (status === 204) taken.push({ id: headers["webhook-id"]!, body, headers, event });
    response.writeHead(status, status === 429 ? { "Retry-After": "1" } : {}).end();
  });
});

function certindex(...options: string[]): string {
  return execFileSync("certindex", ["deliver", ...options], { env: environment(), encoding: "utf8" }).trim();
}

function environment(): NodeJS.ProcessEnv {
  // PYTHONPATH leads to the libraries of the judges
  const { PYTHONPATH: _, ...others } = process.env;
  return {
    ...others,
    DATABASE_URL: `sqlite:///${process.env.JUDGED_DATABASE}`,
    SUBSCRIPTIONS: join(folder, "subscriptions.toml"),
    DELIVERY_STATE: `sqlite:///${join(folder, "state.db")}`,
    ALLOW_NETWORKS: "127.0.0.1/32",
  };
}

function start(): void {
  sender = spawn("certindex", ["deliver"], { env: environment(), stdio: "inherit" });
}

before(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const { port } = receiver.address() as AddressInfo;
  const secrets = JSON.stringify([current, former, privateKey]);
  writeFileSync(
    join(folder, "subscriptions.toml"),
    `[[subscription]]\nname = "judge"\nurl = "http://127.0.0.1:${port}/"\nsecrets = ${secrets}\nstart = "beginning"\n`,
  );
  start();
  await until(() => taken.length >= 500, "500 messages");
});

after(() => {
  sender.kill("SIGKILL");
  receiver.closeAllConnections();
  receiver.close();
  rmSync(folder, { recursive: true });
});

test("the library verifies every message, by the current and by the former secret", () => {
  for (const { body, headers, id, event } of taken) {
    assert.deepEqual(new Webhook(former).verify(body, headers), event);
    assert.equal(event.id, id);
    assert.equal(event.specversion, "1.0");
  }
});

test("the library refuses a message that was changed", () => {
  const { body, headers } = taken[0]!;
  assert.throws(() => new Webhook(current).verify(body.replace("1", "2"), headers));
  assert.throws(() => new Webhook(current).verify(body, { ...headers, "webhook-id": "msg_other" }));
  assert.throws(() => new Webhook(certindex("secret")).verify(body, headers));
});

test("the public key verifies v1a, in the form of the library's", () => {
  const raw = Buffer.from(publicKey.replace("whpk_", ""), "base64");
  const key = createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]),
    format: "der",
    type: "spki",
  });
  for (const { id, body, headers } of taken) {
    const signature = headers["webhook-signature"]!.split(" ").find((one) => one.startsWith("v1a,"))!.slice(4);
    const content = Buffer.from(`${id}.${headers["webhook-timestamp"]}.${body}`);
    assert.ok(verify(null, content, key, Buffer.from(signature, "base64")));
  }
});

test("a reorg arrives as retractions, the newest first", async () => {
  const head = await grow(3);
  await until(() => taken.at(-1)!.event.data.event.block.hash === head.hash, "the update of the newest block");
  const retracted = taken.length;
  await reorg(2);
  await until(() => taken.slice(retracted).filter((one) => one.event.data.retracted).length >= 2, "two retractions");
  const ids = taken.filter((one) => !one.event.data.retracted).map((one) => one.event.data.event.id);
  const gone = taken.filter((one) => one.event.data.retracted).map((one) => one.event.data.event.id);
  assert.deepEqual(gone.slice(0, 2), [ids.at(retracted - 1), ids.at(retracted - 2)]);
  assert.match(taken.find((one) => one.event.data.retracted)!.event.type, /^certindex\.retraction\./);
});

test("after a SIGKILL and a receiver that was too busy nothing is lost, and a duplicate has the same id", async () => {
  sender.kill("SIGKILL");
  const count = taken.length;
  status = 429;
  await grow(2);
  start();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  status = 204;
  await until(() => taken.length >= count + 2, "two messages");
  const ids = new Map<number, string>();
  for (const { id, event } of taken) {
    const number = Number(event.sequence);
    assert.ok(number <= ids.size + 1, `${number} came after ${ids.size}`);
    assert.equal(ids.get(number) ?? id, id);
    ids.set(number, id);
  }
});
