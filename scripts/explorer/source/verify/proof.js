// The parts of a log's proof: the block header, the nodes of the receipts trie, the receipt.
import { RLP } from "@ethereumjs/rlp";
import declarations from "./declarations.json" with { type: "json" };
import { fromHex, keccak, toHex } from "./bytes.js";
import { Unreadable } from "./failed.js";

const HEADER_FIELDS = 15;
const BRANCH_ITEMS = 17;
const LEGACY = 0x00;
const OP_DEPOSIT = 0x7e;
const RECEIPT_TYPES = new Set(declarations.receiptTypes);

/** The nodes do not lead from the root to a value. */
export class ProofError extends Error {}

/** Returns what the check needs of a header: its hash, number, time and receipts root. Raises Unreadable. */
export function decodeHeader(hex) {
  const encoded = fromHex(hex);
  const fields = list(decode(encoded));
  if (fields.length < HEADER_FIELDS) {
    throw new Unreadable(`a header with ${fields.length} fields instead of ${HEADER_FIELDS} or more`);
  }
  const [parent, , , stateRoot, transactionsRoot, receiptsRoot, bloom, , height, , , timestamp] = fields;
  for (const root of [parent, stateRoot, transactionsRoot]) string(root, 32);
  string(bloom, 256);
  return {
    hash: keccak(encoded),
    number: number(height),
    timestamp: number(timestamp),
    receiptsRoot: toHex(string(receiptsRoot, 32)),
  };
}

/**
 * Returns the value under an index, which the nodes of the trie prove, root first. Raises ProofError or Unreadable.
 * A node may not be left over: a proof has one form.
 */
export function prove(root, index, nodes) {
  let rest = toHex(RLP.encode(BigInt(index))).slice(2);
  let reference = fromHex(root);
  let used = 0;
  for (;;) {
    const node = resolve();
    if (node.length === BRANCH_ITEMS) {
      if (!rest) throw new ProofError("the key ends in a branch");
      reference = node[parseInt(rest[0], 16)];
      rest = rest.slice(1);
      if (!Array.isArray(reference) && !reference.length) {
        throw new ProofError("the key leads to an empty child: no value is under it");
      }
    } else if (node.length === 2) {
      const { path, isLeaf } = readPath(string(node[0]));
      if (!rest.startsWith(path) || (isLeaf && rest !== path)) throw new ProofError("the key leads to another key");
      reference = node[1];
      rest = rest.slice(path.length);
      if (isLeaf) {
        if (used < nodes.length) throw new ProofError(`${nodes.length - used} nodes too many`);
        return string(reference);
      }
    } else {
      throw new ProofError(`a node with ${node.length} items`);
    }
  }

  // The next node, which must have the hash of the reference, or one that is embedded in its parent
  function resolve() {
    if (Array.isArray(reference)) return reference;
    if (used === nodes.length) throw new ProofError(`the ${nodes.length} nodes end before the value`);
    const node = fromHex(nodes[used]);
    used += 1;
    const hash = keccak(node);
    if (hash !== toHex(reference)) {
      throw new ProofError(`node ${used} of ${nodes.length} has the hash ${hash}, not ${toHex(reference)}`);
    }
    return list(decode(node));
  }
}

/** Returns the logs of a receipt, as { address, topics, data }; topics are concatenated. Raises Unreadable. */
export function decodeReceiptLogs(data) {
  const type = data.length === 0 ? -1 : data[0] >= 0xc0 ? LEGACY : data[0];
  const name = `a receipt of type 0x${type.toString(16).padStart(2, "0")}`;
  if (!RECEIPT_TYPES.has(type)) throw new Unreadable(`${name}, whose form is unknown`);
  const parts = list(decode(type === LEGACY ? data : data.subarray(1)));
  if (parts.length !== 4 && !(type === OP_DEPOSIT && parts.length === 6)) {
    throw new Unreadable(`${name} with ${parts.length} fields`);
  }
  const [outcome, gas, , logs, ...deposit] = parts;
  string(outcome);
  [gas, ...deposit].forEach(number);
  return list(logs).map(decodeLog);
}

function decodeLog(item) {
  const parts = list(item);
  if (parts.length !== 3) throw new Unreadable(`a log with ${parts.length} fields`);
  const [address, topics, data] = parts;
  return {
    address: toHex(string(address, 20)),
    topics: "0x" + list(topics).map((topic) => toHex(string(topic, 32)).slice(2)).join(""),
    data: toHex(string(data)),
  };
}

function readPath(written) {
  const nibbles = toHex(written).slice(2);
  if (!nibbles || !"0123".includes(nibbles[0]) || ("02".includes(nibbles[0]) && nibbles[1] !== "0")) {
    throw new Unreadable(`an invalid path: 0x${nibbles}`);
  }
  return { path: nibbles.slice("13".includes(nibbles[0]) ? 1 : 2), isLeaf: "23".includes(nibbles[0]) };
}

// RLP

function decode(bytes) {
  try {
    return RLP.decode(bytes);
  } catch (error) {
    throw new Unreadable(error.message);
  }
}

function list(item) {
  if (!Array.isArray(item)) throw new Unreadable("expected a list, not bytes");
  return item;
}

function string(item, length) {
  if (Array.isArray(item)) throw new Unreadable("expected bytes, not a list");
  if (length !== undefined && item.length !== length) {
    throw new Unreadable(`expected ${length} bytes, not ${item.length}`);
  }
  return item;
}

function number(item) {
  const bytes = string(item);
  if (bytes[0] === 0) throw new Unreadable("a number has a leading zero");
  return bytes.length ? BigInt(toHex(bytes)) : 0n;
}
