// Rows, facts and readings as a bundle holds them.
import declarations from "./declarations.json" with { type: "json" };
import { memberOf, OPEN } from "./codes.js";
import { canonical, exact } from "./json.js";
import { positionText } from "./rows.js";

const { codes, numbers, positions } = declarations;

/**
 * Returns the rows of an owner, in order, with their values as a bundle holds them. `owner` is the column of its id; of
 * the ids of subjects, a grant has that one alone.
 */
export function bundleRows(rows, table, owner, id) {
  const others = (declarations.spans[table]?.owners ?? []).filter((column) => column !== owner);
  return rows[table].rows
    .filter((row) => row[owner] === id)
    .map((row) => ({ row: shownRow(row, others), began: row.valid_from ?? row.position }))
    .sort((a, b) => compare(a.began, b.began) || compare(canonical(a.row), canonical(b.row)))
    .map(({ row }) => row);
}

/** Returns the reading of an event. */
export function bundleReading(fact, { eventTime, bizStep, disposition, flags }) {
  const { kind, fields } = declarations.facts[fact.type];
  return {
    kind,
    fields: Object.fromEntries(fields.map(({ name }) => [name, shownField(fact[name])])),
    eventTime: eventTime === null || eventTime === OPEN ? null : exact(eventTime),
    bizStep,
    disposition,
    flags: Object.keys(declarations.flags).filter((flag) => flags & declarations.flags[flag]),
  };
}

function shownRow(row, others) {
  const entries = Object.entries(row).filter(([name]) => !others.includes(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, shown(name, value)]));
}

function shown(name, value) {
  if (typeof value !== "bigint") return value;
  const isPosition = positions.includes(name) || (/_(position|id)$/.test(name) && !numbers.includes(name));
  if (isPosition) return value === OPEN ? null : positionText(value);
  if (numbers.includes(name)) return String(value);
  if (codes[name]) return memberOf(codes[name], value) ?? exact(value);
  return value === OPEN ? null : exact(value); // never, or too large to be stored
}

const shownField = (value) => (typeof value === "bigint" ? String(value) : value);
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
