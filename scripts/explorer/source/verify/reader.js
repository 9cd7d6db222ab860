// Decodes the logs of one chain to facts: a profile compiled for the addresses of its contracts.
import declarations from "./declarations.json" with { type: "json" };
import { WORD } from "./bytes.js";
import { decodeLog } from "./decoder.js";
import { Unreadable } from "./failed.js";
import { contractsOfRule, isInside } from "./profile.js";
import { isNumber, ProfileError, textOf } from "./values.js";

const SUBJECTS = Object.entries(declarations.subjects);

/** Decodes logs of the contracts, which are those of the bundle. */
export class Reader {
  /** Raises ProfileError for an unknown role and for ambiguous addresses. */
  constructor(profile, contracts) {
    const addresses = addressesByRole(profile, contracts);
    const created = contracts.filter((contract) => "createdBy" in contract);
    const firstBlocks = new Map(created.map((contract) => [contract.address, Number(contract.startBlock)]));
    this.rules = new Map();
    this.partners = new Map();
    this.emitters = new Map();
    for (const [number, rule] of profile.rules.entries()) {
      const read = compileRule(rule, addresses);
      if (!read) continue;
      const { firstBlock, lastBlock, join } = rule;
      const joined = join ? addresses.get(join.contract) : [];
      for (const emitter of addresses.get(rule.contract) ?? []) {
        const contracts = contractsOf(rule, emitter, addresses);
        const first = Math.max(Number(firstBlock), firstBlocks.get(emitter) ?? 0);
        push(this.rules, shapeOf(emitter, rule.event), { firstBlock: first, lastBlock, read, contracts, number, join });
        for (const one of [emitter, ...joined]) {
          push(this.emitters, `${rule.fact} ${subjectOf(rule, emitter, addresses)}`, one);
        }
      }
      for (const emitter of joined) push(this.partners, shapeOf(emitter, join.event), { firstBlock, lastBlock, number, join });
    }
  }

  /**
   * Returns of each log of a transaction, in their order, the facts that it is, each as { fact, contracts }. The n-th log
   * of a rule with a join belongs to the n-th log of the joined event, among those that are equal.
   */
  readTransaction(logs, block) {
    const matches = logs.map((log) => this.match(log, block));
    const partners = this.partnersOf(logs, block);
    const own = new Map();
    for (const match of matches) if (match?.group) match.number = append(own, match.group, match);
    return matches.map((match) => {
      if (!match?.group) return match ? factsOf(match) : [];
      const theirs = partners.get(match.group) ?? [];
      return own.get(match.group).length === theirs.length ? factsOf(match, theirs[match.number]) : [];
    });
  }

  /** Returns whether a log is of a rule with a join, or of an event that one joins. */
  mayJoin(log) {
    const shape = shapeOfLog(log);
    return this.partners.has(shape) || (this.rules.get(shape) ?? []).some(({ join }) => join);
  }

  /** Returns { rule, values } if a rule matches the log, with a `group` if it joins another log; else null. */
  match(log, block) {
    for (const rule of this.rules.get(shapeOfLog(log)) ?? []) {
      if (block < rule.firstBlock || block > rule.lastBlock) continue;
      const values = ifReadable(() => rule.read.values(log.topics, log.data));
      if (values === undefined) return null;
      if (!values) continue;
      const group = rule.join && groupOf(rule.number, rule.join.on.map(([own]) => at(values, own)));
      return { rule, values, group };
    }
    return null;
  }

  /** Returns the arguments of the logs that may be joined, by group. */
  partnersOf(logs, block) {
    const groups = new Map();
    for (const log of logs) {
      for (const { firstBlock, lastBlock, number, join } of this.partners.get(shapeOfLog(log)) ?? []) {
        if (block < firstBlock || block > lastBlock) continue;
        const values = ifReadable(() => decodeLog(join.event, log.topics, log.data));
        const group = values && groupOf(number, join.on.map(([, theirs]) => at(values, theirs)));
        if (group) append(groups, group, values);
      }
    }
    return groups;
  }

  /** Returns the addresses whose logs can be this fact about ids of a contract. */
  emittersOf(fact, contract) {
    return this.emitters.get(`${fact} ${contract}`) ?? [];
  }

  /** Returns the contracts about whose ids a log can be this fact. */
  contractsOf(fact) {
    return [...this.emitters.keys()].filter((key) => key.startsWith(`${fact} `)).map((key) => key.split(" ")[1]);
  }
}

/** Returns the facts of a log, each as { fact, contracts }: none if the values make no fact. */
function factsOf({ rule, values }, joined) {
  const facts = ifReadable(() => rule.read.facts(joined ? [...values, joined] : values)) ?? [];
  return facts.map((fact) => ({ fact, contracts: rule.contracts }));
}

/** Returns what a function returns, undefined if the bytes do not fit. */
function ifReadable(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

const shapeOf = (emitter, event) => `${emitter} ${event.topic0} ${event.topicCount}`;

function shapeOfLog({ address, topics }) {
  return `${address} ${topics.slice(0, 2 + 2 * WORD)} ${(topics.length - 2) / (2 * WORD)}`;
}

const groupOf = (number, equal) => JSON.stringify([number, equal], (_, value) => (typeof value === "bigint" ? `${value}n` : value));

function addressesByRole(profile, contracts) {
  const addresses = new Map();
  for (const { role, address } of contracts) {
    if (!profile.roles.has(role)) throw new ProfileError(`unknown role ${role} among the contracts`);
    push(addresses, role, address);
  }
  for (const rule of profile.rules) {
    for (const [field, role] of rule.subjects) {
      if (role !== rule.contract && (addresses.get(role)?.length ?? 0) > 1) {
        throw new ProfileError(`${rule.place}: ${role} has several addresses, so the contract of ${field} is ambiguous`);
      }
    }
  }
  return addresses;
}

/**
 * Returns { values(topics, data), facts(values) }: the arguments, null if `where` does not hold, and the facts. Returns
 * null if the rule needs a contract that is not watched.
 */
function compileRule(rule, addresses) {
  const { fields } = declarations.facts[rule.fact];
  const isWatched = (role) => addresses.has(role);
  const unwatched = new Set([...rule.subjects].filter(([, role]) => !isWatched(role)).map(([field]) => field));
  if (fields.some((field) => isNeeded(rule.fact, field) && unwatched.has(field.name))) return null;
  if ([...rule.where.values()].some(({ role }) => role !== undefined && !isWatched(role))) return null;
  if (!contractsOfRule(rule).every(isWatched)) return null;
  const guards = guardsOf(rule.where, addresses);
  const bound = fields.map((field) => [field, unwatched.has(field.name) ? undefined : rule.fields.get(field.name)]);
  return {
    values: (topics, data) => decodeLog(rule.event, topics, data, guards),
    facts: (values) =>
      itemsOf(values, rule.each).map((item) => {
        // an optional id of a contract that is not watched stays unknown
        const members = bound.map(([field, binding]) => [
          field.name,
          binding ? valueOf(field, binding, item) : field.default,
        ]);
        return { type: rule.fact, ...Object.fromEntries(members) };
      }),
  };
}

/** Returns the values of each item: `path => value`. */
function itemsOf(values, each) {
  if (!each.length) return [(path) => at(values, path)];
  const arrays = each.map((path) => at(values, path));
  const [{ length }] = arrays;
  if (arrays.some((array) => array.length !== length)) throw new Unreadable("the arrays differ in length");
  if (length > declarations.mostItems) throw new Unreadable(`a log can be at most ${declarations.mostItems} facts`);
  return arrays[0].map((_, item) => (path) => {
    const number = each.findIndex((array) => isInside(path, array));
    return number < 0 ? at(values, path) : at(arrays[number][item], path.slice(each[number].length));
  });
}

/** Returns a function from an argument to whether it meets its conditions, by the index of the argument. */
function guardsOf(where, addresses) {
  const guards = new Map();
  for (const { path, role, noRole, value } of where.values()) {
    const [index, ...inside] = path;
    const before = guards.get(index) ?? (() => true);
    const holds = conditionOf(role, noRole, value, addresses);
    guards.set(index, (argument) => before(argument) && holds(at(argument, inside)));
  }
  return guards;
}

function conditionOf(role, noRole, value, addresses) {
  if (noRole) return (one) => ![...addresses.values()].flat().includes(one);
  return role === undefined ? (one) => one === value : (one) => addresses.get(role).includes(one);
}

/** Returns whether the fact says nothing without the field. */
function isNeeded(fact, field) {
  return field.required || declarations.facts[fact].oneOf.includes(field.name);
}

const at = (value, path) => path.reduce((tuple, index) => tuple[index], value);

function valueOf(field, binding, item) {
  if ("constant" in binding) return binding.constant;
  const { argument } = binding;
  const value = item(binding.path);
  if (binding.form) return textOf(argument, value, binding.form);
  if (binding.map?.has(value)) return binding.map.get(value);
  if (binding.fallback !== undefined) return binding.fallback;
  if (field.holds === "SCOPE" && argument.type !== "string") return String(value);
  if (field.holds === "ID" && !isNumber(argument)) return BigInt(value);
  if (typeof value === "bigint" && value < 0n) throw new Unreadable(`${argument.name}: ${value} is negative`);
  return value;
}

/**
 * Returns the contracts whose ids the fact contains, by kind of id. `byAddress`: token_id of the fact is no id, but the
 * address of the device, as a number.
 */
function contractsOf(rule, emitter, addresses) {
  const contracts = SUBJECTS.map(([subject, field]) => {
    const role = rule.subjects.get(field) ?? rule.contract;
    return [subject, role === rule.contract || !addresses.has(role) ? emitter : addresses.get(role)[0]];
  });
  return { ...Object.fromEntries(contracts), byAddress: Boolean(rule.fields.get("token_id")?.atAddress) };
}

/** Returns the contract that the fact is about: the one whose id the fact requires. */
function subjectOf(rule, emitter, addresses) {
  const { fields } = declarations.facts[rule.fact];
  const needed = fields.filter((field) => isNeeded(rule.fact, field)).map((field) => field.name);
  for (const [field, role] of rule.subjects) {
    if (needed.includes(field) && role !== rule.contract) return addresses.get(role)[0];
  }
  return emitter;
}

/** Adds a value to the list of a key, and returns its place in the list. */
export function append(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  return map.get(key).push(value) - 1;
}

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  if (!map.get(key).includes(value)) map.get(key).push(value);
}
