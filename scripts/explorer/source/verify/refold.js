// Reads and folds a bundle's events again, by the profile that the bundle holds.
import declarations from "./declarations.json" with { type: "json" };
import { Failed } from "./failed.js";
import { fold } from "./fold.js";
import { parseProfile } from "./profile.js";
import { append, Reader } from "./reader.js";
import { positionOf, positionText } from "./rows.js";
import { bundleReading, bundleRows } from "./state.js";
import { ProfileError } from "./values.js";

const LATEST_TIME = 2n ** 63n - 2n;
const MAX_BLOCK_NUMBER = 2 ** 43 - 1;
const MAX_OFFSET = 2 ** 20 - 1;

/**
 * Returns { facts, readings, state, reader, firstAboutTheSubject(leftOut) }. A fact is null for a log that is only part of
 * one. Of facts that the bundle leaves out, { blockNumber, logIndex, item, transactionIndex, read }, the function returns
 * the first that is about the subject. `blockTimes` are in unix seconds, by block number.
 * Raises Failed with the first contradiction.
 */
export function refold(bundle, blockTimes) {
  const { profile, reader } = readerOf(bundle);
  const kind = subjectOf(bundle);
  const subject = bundle[kind.member];
  const { contract, tokenId } = subject;
  const did = `did:erc721:${bundle.chainId}:${contract}:${tokenId}`;
  if (subject.did !== did) {
    throw new Failed(`the ${kind.noun} is called ${subject.did}, but its contract and token make ${did}`);
  }
  for (const { blockNumber, logIndex } of bundle.events) {
    if (blockNumber <= MAX_BLOCK_NUMBER) continue;
    const offset = logIndex < MAX_OFFSET ? logIndex : MAX_OFFSET;
    const limits = `offsets go to ${MAX_OFFSET}, blocks to ${MAX_BLOCK_NUMBER}`;
    throw new Failed(`log ${offset} of block ${blockNumber} has no position: ${limits}`);
  }
  const decoded = decodedEvents(reader, bundle.events);
  const facts = bundle.events.map((event, index) => decoded[index] && locatedFact(decoded[index], event, blockTimes));
  const folded = facts.filter((located) => located);
  const policy = policyOf(profile, reader, bundle.contracts);
  const { rows, readings } = fold(folded, policy);
  const id = rows.identities[kind.name].get(`${contract} ${tokenId}`)?.id;
  if (id === undefined) throw new Failed(`no event is about the ${kind.noun} ${did}`);
  const device = kind.name === "device" ? id : null;
  const readingOf = new Map(folded.map((located, index) => [located, readings[index]]));
  const namesTheSubject = ({ fact, contracts }) =>
    !(contracts.byAddress && device !== null) && contracts[contractOf(kind)] === contract && isNamed(kind, fact, tokenId);
  /** Returns those of the facts that name the subject by its address: what they mean if they are folded too. */
  const atTheSubject = (byAddress) => {
    const added = new Map(byAddress.map((one) => [locatedFact(one.read, one, blockTimes), one]));
    const placed = [...folded, ...added.keys()].sort((a, b) => (a.position < b.position ? -1 : 1));
    const again = fold(placed, policy);
    const { id } = again.rows.identities[kind.name].get(`${contract} ${tokenId}`);
    return placed.filter((located, index) => again.readings[index].device === id).map((located) => added.get(located));
  };
  return {
    facts: decoded,
    readings: facts.map((located) =>
      located ? bundleReading(factSeenFrom(device, located, readingOf.get(located), tokenId), seenFrom(device, readingOf.get(located))) : NO_READING,
    ),
    state: stateOf(rows, kind, id),
    reader,
    firstAboutTheSubject: (leftOut) => {
      const byAddress = leftOut.filter(({ read }) => device !== null && read.contracts.byAddress);
      const about = byAddress.length ? atTheSubject(byAddress) : [];
      return leftOut.find((one) => about.includes(one) || namesTheSubject(one.read));
    },
  };
}

/** Returns the kind of what the document is about: a member of `declarations.bundleSubjects`. */
export function subjectOf(bundle) {
  const present = declarations.bundleSubjects.filter(({ member }) => member in bundle);
  if (present.length !== 1) throw new Failed(`the document is about ${present.length} subjects, not about one`);
  return present[0];
}

const contractOf = ({ name }) => (name === "device" ? "token" : name);

/** Returns whether a fact is about the token. Vehicle 0 in an event of a device is no vehicle. */
function isNamed(kind, fact, tokenId) {
  if (String(fact[kind.number]) !== tokenId) return false;
  const ofADevice = declarations.facts[fact.type].aboutDevice || fact.type.startsWith("SyntheticDevice");
  return tokenId !== "0" || kind.name !== "vehicle" || !ofADevice;
}

const NO_READING = { kind: "UNMAPPED", fields: {}, eventTime: null, bizStep: null, disposition: null, flags: [] };

/** Returns of each event what the profile reads in it, null for a part of another event's fact. Raises Failed. */
function decodedEvents(reader, events) {
  const transactions = new Map();
  const logs = new Map();
  for (const event of events) {
    if (logs.has(eventPlace(event))) continue; // the first event of a log has its bytes
    logs.set(eventPlace(event), { log: logOf(event) });
    append(transactions, `${event.blockNumber} ${event.transactionIndex}`, event);
  }
  for (const inside of transactions.values()) {
    const readings = reader.readTransaction(
      inside.map((event) => logs.get(eventPlace(event)).log),
      inside[0].blockNumber,
    );
    inside.forEach((event, index) => (logs.get(eventPlace(event)).readings = readings[index]));
  }
  return events.map((event) => {
    const { log, readings } = logs.get(eventPlace(event));
    const reading = readings[itemOf(event)] ?? null;
    if (reading || (!itemOf(event) && reader.mayJoin(log))) return reading;
    throw new Failed(`${whereOf(event)}: the profile does not map it`);
  });
}

/** Returns which of the events of its log an event is. */
export const itemOf = (event) => event.item ?? 0;
export const eventPlace = (event) => `${event.blockNumber} ${event.logIndex}`;

export function whereOf(event) {
  return `${ofItem(itemOf(event))}event ${event.logIndex} of block ${event.blockNumber}`;
}

export const ofItem = (item) => (item ? `item ${item} of ` : "");

function logOf({ address, topics, data }) {
  return { address, topics: "0x" + topics.map((topic) => topic.slice(2)).join(""), data };
}

function readerOf(bundle) {
  try {
    const profile = parseProfile(bundle.profile.text);
    const reader = new Reader(profile, bundle.contracts);
    if (profile.name === bundle.profile.name) return { profile, reader };
    throw new Failed(`the profile is named '${bundle.profile.name}', its text says '${profile.name}'`);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new Failed(`the profile cannot be used: ${error.message}`);
  }
}

function locatedFact(read, event, blockTimes) {
  const { blockNumber, logIndex, transactionIndex } = event;
  const time = BigInt(blockTimes.get(blockNumber));
  return {
    ...read,
    position: positionOf(blockNumber, logIndex, itemOf(event)),
    blockTime: time < LATEST_TIME ? time : LATEST_TIME,
    transaction: `${blockNumber} ${transactionIndex}`,
  };
}

/** Returns the fact as a bundle shows it: one that names a device by its address has the token of the subject alone. */
function factSeenFrom(device, { fact, contracts }, reading, tokenId) {
  if (!contracts.byAddress) return fact;
  return { ...fact, token_id: device !== null && reading.device === device ? tokenId : null };
}

/** Returns the reading with the flags that a bundle shows: of events of other devices only those of the fact itself. */
function seenFrom(device, reading) {
  return { ...reading, flags: device !== null && reading.device === device ? reading.flags : reading.flags & declarations.factFlags };
}

/** Returns what the profile and the watch set say beyond the facts. */
function policyOf(profile, reader, contracts) {
  const whole = new Set(contracts.filter((contract) => contract.whole).map((contract) => contract.address));
  const historyIsWhole = (contract, ...facts) =>
    facts.every((fact) => {
      const emitters = reader.emittersOf(fact, contract);
      return emitters.length > 0 && emitters.every((emitter) => whole.has(emitter));
    });
  const licenseContracts = reader.contractsOf("LicenseTransferred");
  const licensedByTokens = licenseContracts.length > 0;
  return {
    grants: profile.grants,
    licensedByTokens,
    mintsAreWhole: (contract) => historyIsWhole(contract, "DeviceMinted"),
    manufacturerLicensesAreWhole: (contract) =>
      licensedByTokens
        ? historyIsWhole(contract, "ManufacturerTransferred") &&
          licenseContracts.every((license) => historyIsWhole(license, "LicenseTransferred", "LicenseRevoked"))
        : historyIsWhole(contract, "ManufacturerLicensed", "ManufacturerLicenseRevoked"),
    hardwareLicensesAreWhole: (contract) => historyIsWhole(contract, "HardwareLicensed", "HardwareLicenseRevoked"),
    claimsProvision: (contract) => reader.emittersOf("DeviceProvisioned", contract).length === 0,
  };
}

function stateOf(rows, { name, member, tables }, id) {
  const owner = `${name}_id`;
  const versions = rows[`${name}_version`].rows.filter((row) => row[owner] === id);
  const licenses = new Set(versions.map((row) => row.hardware_license_id));
  const holders = rows.hardware_license_version.rows.filter((row) => licenses.has(row.hardware_license_id));
  const manufacturers = new Set([...versions, ...holders].map((row) => row.manufacturer_id));
  return {
    [member]: Object.fromEntries(tables.map((table) => [table, bundleRows(rows, table, owner, id)])),
    manufacturers: licensed(rows, "manufacturer", manufacturers),
    hardwareLicenses: licensed(rows, "hardware_license", licenses),
  };
}

function licensed(rows, kind, ids) {
  return [...rows.identities[kind].values()]
    .filter(({ id }) => ids.has(id))
    .map(({ id, contract, number }) => ({
      id: positionText(id),
      contract,
      tokenId: String(number),
      versions: bundleRows(rows, `${kind}_version`, `${kind}_id`, id),
    }));
}
