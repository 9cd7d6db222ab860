// Runs the script of a worker under Node: a line of standard input is a message to it, a line of output its last answer.
const { createInterface } = require("node:readline");

let last;
globalThis.self = globalThis;
globalThis.postMessage = (message) => (last = message);
require(process.argv[2]);

createInterface({ input: process.stdin }).on("line", (line) => {
  const { bytes, trusted } = JSON.parse(line);
  self.onmessage({ data: { bytes: Buffer.from(bytes, "base64"), trusted } });
  console.log(JSON.stringify(last, (_, value) => (typeof value === "bigint" ? String(value) : value)));
});
