// Bundles page.jsx into api/graphiql/, with the license of every package that went into it.
import { build } from "esbuild";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const target = "../../api/graphiql";
const result = await build({
  entryPoints: { graphiql: "page.jsx" },
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  outdir: target,
  legalComments: "none",
  charset: "utf8",
  metafile: true,
  define: { "process.env.NODE_ENV": '"production"' },
});

const folders = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const folder = input.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/);
  if (folder) folders.add(folder[0]);
}
const notices = [...folders].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "(the package carries no licence text)";
  return `${name} ${version}, ${license}\n\n${text}\n`;
});
writeFileSync(`${target}/LICENSES.txt`, notices.join(`\n${"-".repeat(80)}\n\n`));
console.log(`${folders.size} packages`);
