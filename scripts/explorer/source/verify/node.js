// Block hashes from a node that the reader names. Of all files of the explorer only this one may connect elsewhere: its
// response has a policy of its own. It sends the node eth_chainId and eth_getBlockByNumber, and nothing of the bundle
// but block numbers.
const HASH = /^0x[0-9a-f]{64}$/;
const NUMBER = /^0x[0-9a-f]{1,64}$/i;
const PATIENCE_MILLISECONDS = 30_000;
const AT_ONCE = 8;

/** The node did not return the hashes. The message says why. */
class NodeError extends Error {}

// Messages: { url, chainId, numbers } -> { result: [[number, hash]] } or { error }
self.onmessage = async ({ data: { url, chainId, numbers } }) => {
  try {
    self.postMessage({ result: await blockHashes(url, chainId, numbers) });
  } catch (error) {
    self.postMessage({ error: error instanceof NodeError ? error.message : String(error) });
  }
};

async function blockHashes(url, chainId, numbers) {
  const answer = await request(url, "eth_chainId", []);
  if (typeof answer !== "string" || !NUMBER.test(answer)) throw new NodeError(`${shown(url)} names no chain`);
  if (BigInt(answer) !== BigInt(chainId)) {
    throw new NodeError(`${shown(url)} is a node of chain ${BigInt(answer)}, the bundle is of chain ${chainId}`);
  }
  const left = [...numbers];
  const hashes = new Map();
  const take = async () => {
    for (let number = left.shift(); number !== undefined; number = left.shift()) {
      hashes.set(number, await blockHash(url, number));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return numbers.map((number) => [number, hashes.get(number)]);
}

async function blockHash(url, number) {
  const block = await request(url, "eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
  if (!HASH.test(block?.hash)) throw new NodeError(`${shown(url)} has no block ${number}`);
  return block.hash;
}

async function request(url, method, params) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  }).catch((error) => {
    const reason =
      error.name === "TimeoutError"
        ? `it took longer than ${PATIENCE_MILLISECONDS / 1000} s`
        : "it cannot be reached, or it does not let web pages ask it (CORS)";
    throw new NodeError(`${shown(url)} did not answer ${method}: ${reason}`);
  });
  const answer = await response.json().catch(() => null);
  if (answer === null || typeof answer !== "object" || !("result" in answer)) {
    const reason = answer?.error?.message ?? `HTTP status ${response.status}`;
    throw new NodeError(`${shown(url)} answered ${method} with ${String(reason).slice(0, 200)}`);
  }
  return answer.result;
}

/** Returns the address without its path and query, which may hold a key. */
const shown = (url) => new URL(url).origin;
