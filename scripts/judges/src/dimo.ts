// DIMO's SDK for JavaScript, unchanged, with `/query` as its identity API: each of its calls, and what it must return.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DIMO, DimoEnvironment } from "@dimo-network/data-sdk";

const ALICE = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1a1A1A1a1A1a1";
const CAROL = "0xcAcacaCacacACaCACaCaCACAcacAcaCACacAcAcA";
const NOBODY = "0x0000000000000000000000000000000000000bad";
const USERS = 120;
const GRANT = { permissions: "0xc", grantee: CAROL };

DimoEnvironment.Production.Identity = process.env["JUDGED_URL"]!;
const { identity } = new DIMO("Production");

test("query", async () => {
  const query = "{ aftermarketDevice(by: { tokenId: 9 }) { serial vehicle { tokenId } } }";
  const { data } = await identity.query({ query });
  assert.deepEqual(data, { aftermarketDevice: { serial: "SN-9", vehicle: { tokenId: 1 } } });
});

test("countDimoVehicles", async () => {
  const { data } = await identity.countDimoVehicles();
  assert.deepEqual(data, { vehicles: { totalCount: 2 } });
});

test("listVehicleDefinitionsPerAddress", async () => {
  const { data } = await identity.listVehicleDefinitionsPerAddress({ address: ALICE, limit: 5 });
  const vehicle = {
    aftermarketDevice: { tokenId: 9, address: "0xdEDEDEDEdEdEdEDedEDeDedEdEdeDedEdEDedEdE" },
    syntheticDevice: { tokenId: 2, address: "0x5d5d5d5D5D5D5d5d5d5d5D5d5D5D5d5D5D5d5d5D" },
    definition: { make: "Ford", model: null, year: 2020 },
  };
  assert.deepEqual(data, { vehicles: { nodes: [vehicle] } });
});

test("listVehicleDefinitionsPerAddress of an account without vehicles", async () => {
  const { data } = await identity.listVehicleDefinitionsPerAddress({ address: NOBODY, limit: 5 });
  assert.deepEqual(data, { vehicles: { nodes: [] } });
});

test("listSacdPerVehicleTokenId, page after page", async () => {
  const first = (await identity.listSacdPerVehicleTokenId({ tokenId: 2 })).data.vehicle.sacds;
  const after = first.pageInfo.endCursor;
  const second = (await identity.listSacdPerVehicleTokenId({ tokenId: 2, after })).data.vehicle.sacds;
  assert.deepEqual([first.nodes.length, second.nodes.length], [100, USERS - 100]);
  assert.deepEqual([first.totalCount, second.totalCount], [USERS, USERS]);
  assert.notEqual(first.pageInfo.startCursor, after);
});

test("listSacdPerVehicleTokenId of a burned vehicle", async () => {
  const answer = await identity.listSacdPerVehicleTokenId({ tokenId: 3 });
  assert.deepEqual(answer.data, { vehicle: null });
  assert.equal(answer.errors[0].extensions.code, "NOT_FOUND");
});

test("getVehiclePrivileges of an account", async () => {
  assert.deepEqual(await identity.getVehiclePrivileges({ tokenId: 1, clientId: CAROL }), [GRANT]);
});

test("getVehiclePrivileges of all accounts", async () => {
  assert.deepEqual(await identity.getVehiclePrivileges({ tokenId: 1 }), [GRANT]);
  const grants: (typeof GRANT)[] = await identity.getVehiclePrivileges({ tokenId: 2 });
  assert.equal(new Set(grants.map(({ grantee }) => grantee)).size, USERS);
});

test("all calls of the SDK are judged", () => {
  const calls = Object.keys(identity).filter((name) => typeof identity[name] === "function");
  assert.deepEqual(calls.sort(), [
    "countDimoVehicles",
    "getVehiclePrivileges",
    "listSacdPerVehicleTokenId",
    "listVehicleDefinitionsPerAddress",
    "query",
  ]);
});
