// DID documents and credentials, by the resolver and the verifiers that wallets use.
import { DataIntegrityProof } from "@digitalbazaar/data-integrity";
import { createVerifyCryptosuite } from "@digitalbazaar/eddsa-jcs-2022-cryptosuite";
import * as vc from "@digitalbazaar/vc";
import { checkStatus } from "@digitalbazaar/vc-bitstring-status-list";
import { Resolver } from "did-resolver";
import * as jose from "jose";
import assert from "node:assert/strict";
import { test } from "node:test";
import { URL as GRAPHQL } from "./stage.js";

const SITE = GRAPHQL.replace("/graphql", "");

async function get(path: string, accept: string): Promise<Response> {
  const response = await fetch(SITE + path, { headers: { accept } });
  assert.ok(response.ok || response.status === 410, `${path}: ${response.status}`);
  return response;
}

const resolver = new Resolver({
  erc721: async (did) => (await get(`/1.0/identifiers/${did}`, "application/did-resolution")).json(),
  web: async () => ({
    didDocument: await (await get("/.well-known/did.json", "application/json")).json(),
    didResolutionMetadata: { contentType: "application/did" },
    didDocumentMetadata: {},
  }),
});

async function documentLoader(url: string) {
  return { contextUrl: null, documentUrl: url, document: await load(url) };
}

async function load(url: string) {
  if (url.startsWith(SITE)) return (await get(url.slice(SITE.length), "application/vc")).json();
  if (!url.startsWith("did:")) return (await vc.defaultDocumentLoader(url)).document;
  const { didDocument } = await resolver.resolve(url.split("#")[0]!);
  if (!url.includes("#")) return didDocument;
  const method = didDocument?.verificationMethod?.find(({ id }) => id === url);
  return { "@context": "https://w3id.org/security/multikey/v1", ...method };
}

const suite = new DataIntegrityProof({ cryptosuite: createVerifyCryptosuite() });
const verify = (credential: any) =>
  vc.verifyCredential({
    credential,
    suite,
    documentLoader,
    checkStatus: (options: any) =>
      checkStatus({ ...options, documentLoader, suite, verifyBitstringStatusListCredential: true }),
  });

const query = encodeURIComponent("{ devices(first: 1, filterBy: {owner: {isNull: false}}) { nodes { tokenDID owner } } }");
const { data } = (await (await get(`/graphql?query=${query}`, "application/json")).json()) as any;
const { tokenDID, owner } = data.devices.nodes[0];
const credential = () => get(`/device/${tokenDID}/credential`, "application/vc").then((response) => response.json());

test("did-resolver resolves a device", async () => {
  const { didDocument, didDocumentMetadata } = await resolver.resolve(tokenDID);
  assert.equal(didDocument?.id, tokenDID);
  assert.ok(String(didDocument?.controller).endsWith(owner));
  assert.equal(didDocumentMetadata.deactivated, false);
});

test("did-resolver resolves the issuer, which is that of credentials", async () => {
  const { issuer } = (await credential()) as any;
  const { didDocument } = await resolver.resolve(issuer);
  assert.equal(didDocument?.id, issuer);
});

test("@digitalbazaar/vc verifies a credential and its status", async () => {
  const result = await verify(await credential());
  assert.equal(result.verified, true, JSON.stringify(result.error));
  assert.equal(result.statusResult.results[0].status, false);
});

test("@digitalbazaar/vc finds one changed character", async () => {
  const changed: any = await credential();
  changed.credentialSubject.owner = changed.credentialSubject.owner.replace(/.$/, (last: string) => (last === "0" ? "1" : "0"));
  assert.equal((await verify(changed)).verified, false);
});

const keys = jose.createRemoteJWKSet(new URL(`${SITE}/.well-known/jwks.json`));
const token = () => get(`/device/${tokenDID}/credential`, "application/vc+jwt").then((response) => response.text());

test("jose verifies the JWT", async () => {
  const { payload } = await jose.jwtVerify<any>(await token(), keys, { typ: "vc+jwt" });
  assert.equal(payload["credentialSubject"].id, tokenDID);
});

test("jose finds one changed character", async () => {
  const [header, claims, signature] = (await token()).split(".");
  const changed = claims!.replace(/.$/, (last) => (last === "Q" ? "g" : "Q"));
  await assert.rejects(jose.jwtVerify([header, `A${changed.slice(1)}`, signature].join("."), keys));
});
