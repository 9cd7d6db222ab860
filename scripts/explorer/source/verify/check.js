// The check of a bundle, from its bytes to its state, in the steps of docs/reference/bundle.md. It ends with the first
// contradiction. `indexer/check/bundle.py` is the same in Python; a test compares the verdicts of both.
import declarations from "./declarations.json" with { type: "json" };
import { keccakText } from "./bytes.js";
import { Failed, Unreadable } from "./failed.js";
import { checkFormat } from "./format.js";
import { canonical, exact, parseJson, shownJson } from "./json.js";
import { decodeHeader, decodeReceiptLogs, prove, ProofError } from "./proof.js";
import { eventPlace, itemOf, ofItem, refold, subjectOf, whereOf } from "./refold.js";

const SHORT = 200;

/**
 * The steps in their order. `done` says what a step established. `isPartial`: of some events it established nothing, since
 * the bundle does not prove them yet.
 */
export const STEPS = [
  {
    title: "The document is whole",
    run(check, bytes) {
      const bundle = parseJson(bytes);
      checkFormat(bundle);
      check.bundle = bundle;
      checkManifest(bundle);
    },
    done: ({ bundle }) => `Its hash is the one in its manifest, ${bundle.manifest.hash}.`,
  },
  {
    title: "Each header has its block’s hash",
    run(check) {
      check.headers = checkBlocks(check.bundle, check.trusted);
    },
    isPartial: ({ bundle, headers }) => headers.size < bundle.blocks.length,
    done: ({ bundle, headers }) => `${of(headers.size, bundle.blocks.length, "header")}, hashed again.`,
  },
  {
    title: "Each receipt is in its block",
    run(check) {
      check.logs = checkReceipts(check.bundle, check.headers);
    },
    isPartial: ({ bundle }) => Boolean(bundle.unproven?.length),
    done: ({ bundle }) => `${count(bundle.receipts.length, "receipt")}, proven from the receipts root of the header.`,
  },
  {
    title: "Each event is a log of a receipt",
    run(check) {
      check.unproven = checkUnproven(check.bundle, check.headers);
      checkEvents(check.bundle, check.logs, check.unproven);
    },
    isPartial: ({ unproven }) => unproven.length > 0,
    done: ({ bundle: { events }, unproven }) =>
      `${of(events.length - unproven.length, events.length, "event")}: address, topics and data are the same.`,
  },
  {
    title: "The receipts hold no other event of the subject",
    run(check) {
      check.refolded = refold(check.bundle, blockTimes(check.bundle, check.headers));
      checkNothingLeftOut(check.bundle, check.logs, check.refolded);
    },
    isPartial: ({ unproven }) => unproven.length > 0,
    done: ({ logs }) => `${count([...logs.values()].flat().length, "log")}, read again.`,
  },
  {
    title: "Each reading follows from the event’s bytes",
    run(check) {
      checkReadings(check.bundle, check.refolded);
    },
    done: (check) =>
      shippedAs(check.bundle)
        ? `${count(check.bundle.events.length, "event")}, read by the profile ${shippedAs(check.bundle)} of this release.`
        : "Read by the profile in the document. No release contains it, so read it.",
  },
  {
    title: "The state follows from the events",
    run(check) {
      checkState(check.bundle, check.refolded.state);
    },
    done: ({ bundle, refolded }) =>
      `${count(Object.values(refolded.state[subjectOf(bundle).member]).flat().length, "row")} of the ${subjectOf(bundle).noun}, folded again.`,
  },
];

/**
 * Checks the bytes of a bundle. `trusted` maps block numbers to hashes that the reader trusts. `onStep(index)` is called
 * before each step. Returns { bundle, steps, failure, ... }; `failure` is null if nothing contradicts the bundle.
 */
export function checkBundle(bytes, trusted = new Map(), onStep = () => {}) {
  const check = { trusted, steps: [], failure: null, unproven: [] };
  for (const [index, step] of STEPS.entries()) {
    onStep(index);
    try {
      step.run(check, bytes);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      check.failure = error.message;
      break;
    }
    check.steps.push({ detail: step.done(check), isPartial: step.isPartial?.(check) ?? false });
  }
  return check;
}

/** Returns the name of the shipped profile with the bundle's text, undefined if none has it. */
export function shippedAs(bundle) {
  const hash = keccakText(bundle.profile.text);
  return Object.keys(declarations.shipped).find((name) => declarations.shipped[name] === hash);
}

/** Returns "5 events", "1 event". */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const of = (part, whole, noun) => (part === whole ? count(whole, noun) : `${part} of ${count(whole, noun)}`);

function fail(where, what) {
  throw new Failed(`${where}: ${what}`);
}

function checkManifest(bundle) {
  const { manifest, ...contents } = bundle;
  const hash = keccakText(canonical(contents));
  if (hash !== manifest.hash) {
    const change = "something in the document was changed after it was made";
    fail("the manifest", `the document has the hash ${hash}, the manifest says ${manifest.hash}: ${change}`);
  }
  for (const name of ["events", "receipts", "blocks"]) {
    if (manifest[name] !== bundle[name].length) {
      fail("the manifest", `the document holds ${bundle[name].length} ${name}, the manifest says ${manifest[name]}`);
    }
  }
  if (bundle.trust !== subjectOf(bundle).trust) throw new Failed("the trust statement is not the one of this format");
}

// Blocks and receipts: is each log in the block?

/** Returns the headers of the verified blocks by number, after hashing them again. */
function checkBlocks(bundle, trusted) {
  const headers = new Map();
  let last = -1;
  for (const block of bundle.blocks) {
    const where = `block ${block.number}`;
    const header = headerOf(block, where);
    if (header) {
      if (header.hash !== block.hash) fail(where, `its header has the hash ${header.hash}, not ${block.hash}`);
      if (exact(header.number) !== block.number) fail(where, `its header is of block ${header.number}`);
      headers.set(block.number, header);
    }
    if (block.number <= last) fail(where, "blocks come twice, or out of order");
    last = block.number;
    const hash = trusted.get(block.number);
    if (hash !== undefined && hash !== block.hash) {
      fail(where, `its hash is ${block.hash}, the trusted one is ${hash}: it is not a block of that chain`);
    }
  }
  if (bundle.asOf.number < last) {
    throw new Failed(`asOf is block ${bundle.asOf.number}, though events come up to block ${last}`);
  }
  return headers;
}

function headerOf(block, where) {
  if (block.header === null && !("timestamp" in block)) {
    fail(
      where,
      "it was not verified yet when the bundle was made, and the bundle does not state its time. " +
        "Request the bundle again, or make it with certindex prove",
    );
  }
  if (block.header !== null && "timestamp" in block) fail(where, "the bundle states a time beside the header");
  return block.header && readable(() => decodeHeader(block.header), where, "the header cannot be read");
}

function readable(read, where, what) {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProofError) fail(where, error.message);
    if (error instanceof Unreadable) fail(where, `${what}: ${error.message}`);
    throw error;
  }
}

const placeOf = (item) => `${item.blockNumber} ${item.transactionIndex}`;
const isAfter = (block, index, last) => block > last[0] || (block === last[0] && index > last[1]);

/** Returns the logs of all receipts by place, after proving that the receipts are in their blocks. */
function checkReceipts(bundle, headers) {
  const logs = new Map();
  const nextLog = new Map();
  let last = [-1, -1];
  for (const receipt of bundle.receipts) {
    const { blockNumber, transactionIndex, firstLogIndex, nodes } = receipt;
    const where = `receipt ${transactionIndex} of block ${blockNumber}`;
    const header = headers.get(blockNumber);
    if (!header) fail(where, "the header of its block is not in the bundle");
    if (!isAfter(blockNumber, transactionIndex, last)) fail(where, "receipts come twice, or out of order");
    last = [blockNumber, transactionIndex];
    if (firstLogIndex < (nextLog.get(blockNumber) ?? 0)) fail(where, "its logs overlap those of the receipt before it");
    const proven = readable(
      () => decodeReceiptLogs(prove(header.receiptsRoot, transactionIndex, nodes)),
      where,
      "the proof cannot be read",
    );
    logs.set(placeOf(receipt), proven);
    nextLog.set(blockNumber, exact(BigInt(firstLogIndex) + BigInt(proven.length)));
  }
  return logs;
}

/** Returns the events that the bundle names as not proven, after checking that it proves none of them. */
function checkUnproven(bundle, headers) {
  const unproven = bundle.unproven ?? [];
  const proven = new Set(bundle.receipts.map(placeOf));
  const events = new Map(bundle.events.map((event) => [eventPlace(event), event]));
  let last = [-1, -1];
  for (const named of unproven) {
    const { blockNumber, logIndex, cause } = named;
    const where = `unproven event ${logIndex} of block ${blockNumber}`;
    if (!isAfter(blockNumber, logIndex, last)) fail(where, "unproven events come twice, or out of order");
    last = [blockNumber, logIndex];
    const event = events.get(eventPlace(named));
    if (!event) fail(where, "the bundle holds no such event");
    if (proven.has(placeOf(event))) fail(where, "the bundle proves it");
    if ((cause === "NOT_STORED") !== headers.has(blockNumber)) {
      const state = headers.has(blockNumber) ? "has" : "lacks";
      fail(where, `the bundle ${state} the header of its block, which does not fit ${cause}`);
    }
    if (cause === "WRONGLY_STORED") fail(where, `${explanation(named)}, as the indexer found`);
  }
  return unproven;
}

/** Returns one sentence: why an event is not proven, and when or how it becomes provable. */
export function explanation({ cause, blockNumber, provableAt }) {
  const [plain, withBlock] = declarations.causes[cause];
  const text = provableAt === null ? plain : withBlock.replace("{provable}", provableAt);
  return text.replaceAll("{block}", blockNumber);
}

/** Checks that each event equals a log of a proven receipt, unless the bundle names it as not proven. */
function checkEvents(bundle, logs, unproven) {
  const first = new Map(bundle.receipts.map((receipt) => [placeOf(receipt), receipt.firstLogIndex]));
  const watched = new Set(bundle.contracts.map((contract) => contract.address));
  if (watched.size < bundle.contracts.length) throw new Failed("the contracts: one address comes twice");
  const numbers = new Set(bundle.blocks.map((block) => block.number));
  const notProven = new Set(unproven.map(eventPlace));
  let last = null;
  for (const event of bundle.events) {
    const where = whereOf(event);
    const before = last;
    last = event;
    if (before && eventPlace(event) === eventPlace(before)) {
      if (itemOf(event) <= itemOf(before)) fail(where, "events come twice, or out of order");
      checkSameLog(event, before);
      continue;
    }
    if (before && !isAfter(event.blockNumber, event.logIndex, [before.blockNumber, before.logIndex])) {
      fail(where, "events come twice, or out of order");
    }
    if (!numbers.has(event.blockNumber)) fail(where, "its block is not in the bundle");
    if (!watched.has(event.address)) fail(where, `its contract ${event.address} is not watched`);
    if (notProven.has(eventPlace(event))) continue;
    const receiptLogs = logs.get(placeOf(event));
    if (!receiptLogs) fail(where, `the bundle holds no proof of its receipt, ${event.transactionIndex} of the block`);
    const start = BigInt(first.get(placeOf(event)));
    const log = receiptLogs[Number(BigInt(event.logIndex) - start)];
    if (!log) fail(where, `its receipt holds the logs ${start} to ${start + BigInt(receiptLogs.length) - 1n}`);
    checkLog(event, log, where);
  }
  checkAllAreUsed(bundle);
}

const SAME = { address: "address", transaction_index: "transactionIndex", transaction_hash: "transactionHash" };

/** Checks that an event states what the event of the same log before it states, and leaves out the log's bytes. */
function checkSameLog(event, before) {
  for (const [name, member] of Object.entries(SAME)) {
    if (event[member] !== before[member]) {
      fail(whereOf(event), `its ${name} is another one than that of the event of its log before it`);
    }
  }
  if (event.topics.length || event.data !== "0x") {
    fail(whereOf(event), "the event of its log before it has the topics and the data");
  }
}

function checkLog(event, log, where) {
  const stated = { address: event.address, topics: topicsOf(event), data: event.data };
  for (const [name, value] of Object.entries(stated)) {
    if (value !== log[name]) fail(where, `its ${name} is ${short(value)}, the log in the receipt has ${short(log[name])}`);
  }
}

const topicsOf = (event) => "0x" + event.topics.map((topic) => topic.slice(2)).join("");

/** Checks that each block and receipt belongs to an event. */
function checkAllAreUsed(bundle) {
  const places = new Set(bundle.events.map(placeOf));
  const numbers = new Set(bundle.events.map((event) => event.blockNumber));
  for (const receipt of bundle.receipts) {
    if (!places.has(placeOf(receipt))) {
      fail(`receipt ${receipt.transactionIndex} of block ${receipt.blockNumber}`, "it belongs to no event");
    }
  }
  for (const { number } of bundle.blocks) if (!numbers.has(number)) fail(`block ${number}`, "it holds no event");
}

// Readings and state: do they follow from the logs?

function blockTimes(bundle, headers) {
  return new Map(bundle.blocks.map(({ number, timestamp }) => [number, headers.get(number)?.timestamp ?? timestamp]));
}

/** Checks that the bundle leaves out no log of a proven receipt that is about the subject, or part of a fact. */
function checkNothingLeftOut(bundle, logs, refolded) {
  const included = new Map();
  for (const [index, event] of bundle.events.entries()) {
    const place = eventPlace(event);
    if (!included.has(place)) included.set(place, new Map());
    included.get(place).set(itemOf(event), refolded.facts[index]);
  }
  const leftOut = [];
  for (const receipt of bundle.receipts) {
    const { blockNumber } = receipt;
    const readings = refolded.reader.readTransaction(logs.get(placeOf(receipt)), blockNumber);
    for (const [offset, facts] of readings.entries()) {
      const index = exact(BigInt(receipt.firstLogIndex) + BigInt(offset));
      const mine = included.get(`${blockNumber} ${index}`) ?? new Map();
      for (const item of [...new Set([...facts.keys(), ...mine.keys()])].sort((a, b) => a - b)) {
        const read = facts[item] ?? null;
        if (!mine.has(item)) {
          const { transactionIndex } = receipt;
          if (read) leftOut.push({ blockNumber, logIndex: index, item, transactionIndex, read });
          continue;
        }
        if (shownFact(mine.get(item)) !== shownFact(read)) {
          const what = "the logs of its receipt make it another fact, and the bundle leaves out one of them";
          fail(`${ofItem(item)}event ${index} of block ${blockNumber}`, what);
        }
      }
    }
  }
  const fact = refolded.firstAboutTheSubject(leftOut);
  if (!fact) return;
  const log = `${ofItem(fact.item)}log ${fact.logIndex} of block ${fact.blockNumber}`;
  throw new Failed(`${log} is about the ${subjectOf(bundle).noun}, and the bundle leaves it out`);
}

const shownFact = (read) => JSON.stringify(read, (_, value) => (typeof value === "bigint" ? `${value}n` : value));

const READING = {
  kind: "kind",
  fields: "fields",
  event_time: "eventTime",
  biz_step: "bizStep",
  disposition: "disposition",
  flags: "flags",
};

function checkReadings(bundle, refolded) {
  for (const [index, event] of bundle.events.entries()) {
    for (const [name, member] of Object.entries(READING)) {
      const stated = event.reading[member];
      const read = refolded.readings[index][member];
      if (canonical(stated) !== canonical(read)) {
        fail(whereOf(event), `its reading says ${name} ${show(stated)}, its bytes say ${show(read)}`);
      }
    }
  }
}

function checkState(bundle, state) {
  const stated = statedRows(bundle);
  const folded = state[subjectOf(bundle).member];
  for (const table of [...new Set([...Object.keys(stated), ...Object.keys(folded)])].sort()) {
    checkRows(`state, ${table}`, own(stated, table), own(folded, table));
  }
  checkLicensed("manufacturers", bundle.state.manufacturers, state.manufacturers);
  checkLicensed("hardware_licenses", bundle.state.hardwareLicenses, state.hardwareLicenses);
}

/** Returns the rows of the subject by table, after checking that the state has those of no other subject. */
function statedRows(bundle) {
  const { member, noun } = subjectOf(bundle);
  const parts = declarations.bundleSubjects.filter((kind) => kind.member in bundle.state);
  if (parts.length !== 1 || parts[0].member !== member) {
    fail("state", `it has the rows of ${parts.length} subjects, not those of the ${noun} alone`);
  }
  return bundle.state[member];
}

function checkLicensed(kind, stated, folded) {
  const [ids, foldedIds] = [stated, folded].map((licensed) => licensed.map(({ id }) => id));
  if (canonical(ids) !== canonical(foldedIds)) {
    throw new Failed(`state: the ${kind} are ${show(ids)}, the events name ${show(foldedIds)}`);
  }
  for (const [index, ours] of folded.entries()) {
    const where = `state, ${kind}, ${ours.id}`;
    const [token, foldedToken] = [stated[index], ours].map(({ contract, tokenId }) => `${contract} ${tokenId}`);
    if (token !== foldedToken) fail(where, `it is ${token}, the events say ${foldedToken}`);
    checkRows(where, stated[index].versions, ours.versions);
  }
}

function checkRows(where, stated, folded) {
  if (!stated || !folded) fail(where, stated ? "there is no such part of a state" : "it is missing");
  if (stated.length !== folded.length) fail(where, `it has ${stated.length} rows, the events make ${folded.length}`);
  for (const [index, row] of stated.entries()) {
    const other = folded[index];
    for (const name of [...new Set([...Object.keys(row), ...Object.keys(other)])].sort()) {
      const [value, made] = [row, other].map((one) => (Object.hasOwn(one, name) ? canonical(one[name]) : undefined));
      if (value !== made) {
        fail(`${where}, row ${index + 1}`, `${name} is ${show(own(row, name))}, the events make it ${show(own(other, name))}`);
      }
    }
  }
}

const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);
const short = (text) => (text.length <= SHORT ? text : `${text.slice(0, SHORT)}...`);
const show = (value) => short(shownJson(value));
