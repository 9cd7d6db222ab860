// Bundles source/*.js into api/explorer/static/, with the license of every package that went into them.
import { build } from "esbuild";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const target = process.argv[2] ?? "../../api/explorer/static";
const result = await build({
  entryPoints: {
    explorer: "source/explorer.js",
    check: "source/verify/worker.js",
    node: "source/verify/node.js",
  },
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  outdir: target,
  legalComments: "none",
  charset: "utf8",
  metafile: true,
});

const folders = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const folder = input.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/);
  if (folder) folders.add(folder[0]);
}
const notices = [...folders].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((name) => /^licen[cs]e(?:$|\.)/i.test(name));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "(the package carries no license text)";
  return `${name} ${version}, ${license}\n\n${text}\n`;
});
if (notices.length) writeFileSync(`${target}/LICENSES.txt`, notices.join(`\n${"-".repeat(80)}\n\n`));
