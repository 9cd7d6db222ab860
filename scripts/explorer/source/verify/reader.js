// Decodes the logs of one chain to facts: a profile compiled for the addresses of its contracts.
import declarations from "./declarations.json" with { type: "json" };
import { WORD } from "./bytes.js";
import { decodeLog } from "./decoder.js";
import { Unreadable } from "./failed.js";
import { isNumber, ProfileError, textOf } from "./values.js";

const SUBJECTS = Object.entries(declarations.subjects);

/** Decodes logs of the contracts, which are those of the bundle. */
export class Reader {
  /** Raises ProfileError for an unknown role and for ambiguous addresses. */
  constructor(profile, contracts) {
    const addresses = addressesByRole(profile, contracts);
    this.rules = new Map();
    this.emitters = new Map();
    for (const rule of profile.rules) {
      const read = compileRule(rule, addresses);
      if (!read) continue;
      for (const emitter of addresses.get(rule.contract) ?? []) {
        const shape = `${emitter} ${rule.event.topic0} ${rule.event.topicCount}`;
        const { firstBlock, lastBlock } = rule;
        push(this.rules, shape, { firstBlock, lastBlock, read, contracts: contractsOf(rule, emitter, addresses) });
        push(this.emitters, `${rule.fact} ${subjectOf(rule, emitter, addresses)}`, emitter);
      }
    }
  }

  /** Returns { fact, contracts } if the log is a fact, else null. Topics are concatenated. */
  read(address, topics, data, block) {
    const count = (topics.length - 2) / (2 * WORD);
    for (const rule of this.rules.get(`${address} ${topics.slice(0, 2 + 2 * WORD)} ${count}`) ?? []) {
      if (block < rule.firstBlock || block > rule.lastBlock) continue;
      try {
        const fact = rule.read(topics, data);
        if (fact) return { fact, contracts: rule.contracts };
      } catch (error) {
        if (error instanceof Unreadable) return null;
        throw error;
      }
    }
    return null;
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

/** Returns a function from topics and data to the fact, null if the rule needs a contract that is not watched. */
function compileRule(rule, addresses) {
  const { fields } = declarations.facts[rule.fact];
  const isWatched = (role) => addresses.has(role);
  const unwatched = new Set([...rule.subjects].filter(([, role]) => !isWatched(role)).map(([field]) => field));
  if (fields.some((field) => isNeeded(rule.fact, field) && unwatched.has(field.name))) return null;
  if ([...rule.where.values()].some(({ role }) => role !== undefined && !isWatched(role))) return null;
  const guards = guardsOf(rule.where, addresses);
  const bound = fields.map((field) => [field, unwatched.has(field.name) ? undefined : rule.fields.get(field.name)]);
  return (topics, data) => {
    const values = decodeLog(rule.event, topics, data, guards);
    if (!values) return null;
    // an optional id of a contract that is not watched stays unknown
    const members = bound.map(([field, binding]) => [
      field.name,
      binding ? valueOf(field, binding, values) : field.default,
    ]);
    return { type: rule.fact, ...Object.fromEntries(members) };
  };
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

function valueOf(field, binding, values) {
  if ("constant" in binding) return binding.constant;
  const { argument } = binding;
  const value = at(values, binding.path);
  if (binding.form) return textOf(argument, value, binding.form);
  if (binding.map?.has(value)) return binding.map.get(value);
  if (binding.fallback !== undefined) return binding.fallback;
  if (field.holds === "SCOPE" && argument.type !== "string") return String(value);
  if (field.holds === "ID" && !isNumber(argument)) return BigInt(value);
  if (typeof value === "bigint" && value < 0n) throw new Unreadable(`${argument.name}: ${value} is negative`);
  return value;
}

/** Returns the contracts whose ids the fact contains, by kind of id. */
function contractsOf(rule, emitter, addresses) {
  return Object.fromEntries(
    SUBJECTS.map(([subject, field]) => {
      const role = rule.subjects.get(field) ?? rule.contract;
      return [subject, role === rule.contract || !addresses.has(role) ? emitter : addresses.get(role)[0]];
    }),
  );
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

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  if (!map.get(key).includes(value)) map.get(key).push(value);
}
