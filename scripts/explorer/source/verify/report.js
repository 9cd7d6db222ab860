// The verdict in words: line for line what `certindex check` prints.
import declarations from "./declarations.json" with { type: "json" };
import { explanation, shippedAs } from "./check.js";
import { eventPlace, subjectOf } from "./refold.js";

const SHOWN_BLOCKS = 6;

/** Returns PASS, INCOMPLETE or FAIL. */
export function verdictOf(check) {
  if (check.failure !== null) return "FAIL";
  return check.unproven.length ? "INCOMPLETE" : "PASS";
}

/** Returns the lines that `certindex check` prints. */
export function report(check) {
  if (check.failure !== null) return [`FAIL ${check.failure}`];
  const { bundle, unproven } = check;
  const { events, blocks, asOf } = bundle;
  const { did } = bundle[subjectOf(bundle).member];
  const head = unproven.length
    ? `INCOMPLETE ${did}: ${unprovenEvents(check)} of ${events.length} events are not proven yet, ` +
      `up to block ${asOf.number}; nothing contradicts them`
    : `PASS ${did}: ${events.length} events in ${blocks.length} blocks, up to block ${asOf.number}`;
  return [head, ...[...unprovenBlocks(unproven).map((line) => `not proven: ${line}`), ...conclusions(check)].map(indent)];
}

/** Returns the number of events whose logs are not proven: a log may be several events. */
export function unprovenEvents({ bundle, unproven }) {
  const logs = new Set(unproven.map(eventPlace));
  return bundle ? bundle.events.filter((event) => logs.has(eventPlace(event))).length : 0;
}

const indent = (line) => `  ${line}`;

/** Returns a sentence for each block whose events are not proven: which, why and until when. */
export function unprovenBlocks(unproven) {
  return [...new Set(unproven.map((event) => event.blockNumber))].map((number) => {
    const events = unproven.filter((event) => event.blockNumber === number);
    const indexes = events.map((event) => event.logIndex);
    return `event${indexes.length > 1 ? "s" : ""} ${ranges(indexes)} of block ${number}: ${explanation(events[0])}`;
  });
}

/** Returns ascending numbers as text, of three or more in a row the first and the last. */
function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && BigInt(run.at(-1)) + 1n === BigInt(number)) run.push(number);
    else runs.push([number]);
  }
  return runs.map((run) => (run.length > 2 ? `${run[0]} to ${run.at(-1)}` : run.join(", "))).join(", ");
}

/** Returns what is established and what is not, of a bundle that nothing contradicts. */
function conclusions({ bundle, trusted }) {
  const numbers = bundle.blocks.map(({ number }) => number);
  const known = numbers.filter((number) => trusted.has(number));
  const unknown = numbers.filter((number) => !trusted.has(number));
  const contracts = bundle.contracts.map(({ role, address }) => `${role} ${address}`).join(", ");
  const profile = shippedAs(bundle);
  const lines = [];
  if (known.length) lines.push(`established: ${blocksAre(known)} of the chain that you trust`);
  if (unknown.length) {
    lines.push(
      `not established: that ${blocksAre(unknown)} of the real chain; the events are proven to be in ` +
        "blocks with the hashes that the bundle gives, not that these blocks are canonical. " +
        "Give --block-hash or --rpc-url",
    );
  }
  lines.push(
    profile
      ? `established: the events are read by the profile ${profile} of this release`
      : "not established: that the profile reads events correctly; no release contains it, so read it",
  );
  for (const text of declarations.notEstablished) {
    const filled = text.replace("{noun}", subjectOf(bundle).noun).replace("{contracts}", () => contracts).replace("{as_of}", bundle.asOf.number);
    lines.push(`not established: ${filled}`);
  }
  for (const number of trusted.keys()) {
    if (!numbers.includes(number)) lines.push(`not used: the hash of block ${number}, which the bundle does not hold`);
  }
  return lines;
}

function blocksAre(numbers) {
  const shown = numbers.slice(0, SHOWN_BLOCKS).join(", ") + (numbers.length > SHOWN_BLOCKS ? ", ..." : "");
  return numbers.length === 1 ? `block ${shown} is` : `the ${numbers.length} blocks ${shown} are`;
}
