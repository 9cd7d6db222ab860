// GraphQL over HTTP, by the audits of the specification's own suite.
import { serverAudits } from "graphql-http";
import { test } from "node:test";
import { URL } from "./stage.js";

for (const audit of serverAudits({ url: URL, fetchFn: fetch })) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    if (result.status !== "ok") throw new Error(`${result.status}: ${result.reason}`);
  });
}
