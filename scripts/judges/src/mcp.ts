// The tools at /mcp, by the conformance suite of the Model Context Protocol and by the command line of its inspector.
import assert from "node:assert";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { URL as GRAPHQL } from "./stage.js";

const MCP = GRAPHQL.replace("/graphql", "/mcp");
const run = promisify(execFile);

// the other scenarios test tools, prompts and resources that exist for the suite alone
for (const scenario of ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"]) {
  test(`conformance: ${scenario}`, async () => {
    const { stdout } = await run("node_modules/.bin/conformance", ["server", "--url", MCP, "--scenario", scenario]);
    assert.match(stdout, /Passed: (\d+)\/\1, 0 failed, 0 warnings/);
  });
}

async function inspect(...options: string[]): Promise<any> {
  const { stdout } = await run("node_modules/.bin/mcp-inspector", ["--cli", MCP, "--transport", "http", ...options]);
  return JSON.parse(stdout.slice(stdout.indexOf("{")));
}

test("the inspector lists the tools", async () => {
  const { tools } = await inspect("--method", "tools/list");
  assert.equal(tools.length, 8);
  for (const tool of tools) assert.ok(tool.annotations.readOnlyHint, tool.name);
});

test("the inspector calls a tool", async () => {
  const call = ["--method", "tools/call", "--tool-name"];
  const listed = await inspect(...call, "list_devices", "--tool-arg", "first=1", "--tool-arg", "ascending=true");
  const { devices } = JSON.parse(listed.content[0].text);
  const device = await inspect(...call, "get_device", "--tool-arg", `did=${devices[0].tokenDID}`);
  assert.equal(JSON.parse(device.content[0].text).tokenDID, devices[0].tokenDID);
});
