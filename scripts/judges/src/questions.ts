// Has relay-compiler read each operation of tests/support/api/operations.graphql, as a module with the names that Relay
// wants.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { parse, print, separateOperations, visit } from "graphql";

const FOLDER = "build/questions";
// Relay reads no whole number that long, and lets nothing else be called `id`
const NOT_FOR_RELAY = new Set(["Q27BigTokenId", "Q04EachKey"]);

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(`${FOLDER}/made`, { recursive: true });
const questions = separateOperations(parse(readFileSync("../../tests/support/api/operations.graphql", "utf8")));
for (const [name, document] of Object.entries(questions)) {
  if (NOT_FOR_RELAY.has(name)) continue;
  const named = (fragment: string) => ({ kind: "Name", value: `${name}_${fragment}` }) as const;
  const renamed = visit(document, {
    OperationDefinition: (node) => ({
      ...node,
      name: { kind: "Name", value: name + (node.operation === "query" ? "Query" : "Subscription") } as const,
    }),
    FragmentDefinition: (node) => ({ ...node, name: named(node.name.value) }),
    FragmentSpread: (node) => ({ ...node, name: named(node.name.value) }),
  });
  const parts = renamed.definitions.map((part) => `graphql\`\n${print(part)}\n\`;\n`);
  writeFileSync(`${FOLDER}/${name}.js`, `import { graphql } from "relay-runtime";\n\n${parts.join("\n")}`);
}

execFileSync("node_modules/.bin/relay-compiler", ["relay.questions.json"], { stdio: "inherit" });
