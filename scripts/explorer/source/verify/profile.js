// A profile: the TOML that maps events to facts. `schema/profile/model.py` describes every key.
import { parse } from "smol-toml";
import declarations from "./declarations.json" with { type: "json" };
import { parseEvent, SignatureError } from "./signature.js";
import { argumentValue, address, fieldValue, hasForm, INTEGER, ProfileError, takes } from "./values.js";

const MAX_BLOCK_NUMBER = 2n ** 43n - 1n;
const ROLE = /^[A-Za-z0-9_-]+$/;
const CHAIN_ID = /^[1-9][0-9]{0,18}$/;
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| )*$/u;
const FUNCTION = /^\s*(?:function\s+)?(\w+\s*\(.*\))\s*returns\s*\((.*)\)\s*$/s;
const ID_OF_SUBJECT = declarations.subjects;
const RULE_KEYS = ["contract", "signature", "fact", "fields", "each", "where", "join", "first_block", "last_block"];
const JOIN = "join";
const SETTING_ADDRESSES = ["DeviceMinted", "DeviceAddressReset", "FactoryReset"];
const GRANT_FACTS = ["UserAuthorized", "UserRevoked", "AccessGranted", "AccessRevoked"];
const NO_ROLE = "!@";
const ZERO_EXPIRY = ["never", "revokes", "expired"];

/** Parses and checks a profile. Raises ProfileError. */
export function parseProfile(text) {
  const document = parseToml(text);
  const file = table(document, "the bundle's profile", ["name", "unread", "event", "call", "factory", "grants", "networks"]);
  const name = requiredText(file, "name", "the bundle's profile");
  if (!PRINTABLE.test(name)) refuse("the bundle's profile", "'name' is not printable");
  const events = file.event ?? [];
  if (!Array.isArray(events) || !events.length) refuse("the bundle's profile", "has no rule");
  const rules = events.map((event, index) => parseRule(event, `rule ${index + 1}`));
  checkRules(rules);
  const unread = parseUnread(file.unread ?? [], rules);
  const read = new Set([...rules.flatMap(contractsOfRule), ...unread]);
  const factories = parseFactories(file.factory ?? [], read);
  const roles = new Set([...read, ...factories.map((factory) => factory.contract)]);
  const grants = parseGrants(file.grants ?? {}, rules);
  checkNetworks(file.networks ?? {}, roles);
  const called = checkCalls(file.call ?? [], roles);
  checkFactories(factories, rules, called);
  return { name, rules, roles, grants };
}

function parseToml(text) {
  try {
    return parse(text, { integersAsBigInt: true });
  } catch (error) {
    throw new ProfileError(`the bundle's profile: ${error.message.split("\n")[0]}`);
  }
}

// Rules

function parseRule(value, place) {
  const rule = table(value, place, [...RULE_KEYS, ...Object.keys(ID_OF_SUBJECT)]);
  const { contract, event } = emitted(rule, place);
  const fact = requiredText(rule, "fact", place);
  if (!Object.hasOwn(declarations.facts, fact)) refuse(place, `unknown fact ${fact}`);
  const join = "join" in rule ? parseJoin(rule.join, contract, event, `${place}: join`) : null;
  const values = withJoin(event, join);
  const each = "each" in rule ? parseEach(rule.each, values, `${place}: each`) : [];
  const items = withItems(values, each);
  const fields = parseFields(rule.fields ?? {}, items, fact, place);
  if (each.some((array) => ![...fields.values()].some(({ path }) => path && isInside(path, array)))) {
    refuse(place, "each: no field names an item");
  }
  if (join && ![...fields.values()].some(({ path }) => path?.[0] === event.inputs.length)) {
    refuse(place, "join: no field names a value of the joined event");
  }
  const firstBlock = blockNumber(rule, "first_block", 0n, place);
  const lastBlock = blockNumber(rule, "last_block", MAX_BLOCK_NUMBER, place);
  if (firstBlock > lastBlock) refuse(place, "first_block is above last_block");
  const subjects = parseSubjects(rule, fields, place);
  for (const name of Object.keys(table(rule.where ?? {}, `${place}: where`))) {
    const value = valuesOf(items.inputs).find(({ argument }) => argument.name === name);
    if (value && each.some((array) => isInside(value.path, array))) refuse(place, `where: ${name} differs for each item`);
  }
  const where = parseWhere(rule, event, place);
  return { place, contract, event, fact, fields, firstBlock, lastBlock, subjects, where, join, each };
}

/** Returns the roles whose logs a rule reads. */
export const contractsOfRule = ({ contract, join }) => (join ? [contract, join.contract] : [contract]);

function emitted(values, place) {
  const contract = requiredText(values, "contract", place);
  if (!ROLE.test(contract)) refuse(place, `${contract} is not a role name`);
  return { contract, event: signatureOf(requiredText(values, "signature", place), place) };
}

/** Returns { contract, event, on }: `on` has the paths that must be equal, in the rule's event and in the joined one. */
function parseJoin(value, contract, event, place) {
  const values = table(value, place, ["contract", "signature", "on"]);
  const joined = emitted(values, place);
  const isSame = joined.event.topic0 === event.topic0 && joined.event.topicCount === event.topicCount;
  if (joined.contract === contract && isSame) refuse(place, "it is the event of the rule itself");
  if (event.inputs.some(({ name }) => name === JOIN)) refuse(place, "an argument is named join too");
  const on = Object.entries(table(values.on ?? {}, `${place}: on`)).map(([other, own]) => {
    const [ours, theirs] = [valueNamed(own, event, `${place}: on`), valueNamed(other, joined.event, `${place}: on`)];
    const [a, b] = [ours.argument, theirs.argument];
    if (a.type !== b.type || isHashed(a) !== isHashed(b)) refuse(place, `${other} never equals ${own}`);
    return [ours.path, theirs.path];
  });
  return { ...joined, on };
}

const isHashed = ({ hashed }) => Boolean(hashed);

/** Returns the event with the joined arguments behind its own, as a tuple. */
function withJoin(event, join) {
  if (!join) return event;
  const joined = { name: JOIN, type: "(join)", components: join.event.inputs, element: null, hashed: false };
  return { ...event, inputs: [...event.inputs, joined] };
}

/** Returns the paths of the arrays whose items are facts. */
function parseEach(written, values, place) {
  const names = typeof written === "string" ? [written] : written;
  if (!Array.isArray(names) || !names.length) refuse(place, "expected an array of the event, or a list of them");
  const paths = names.map((name) => {
    const { path, argument } = valueNamed(name, values, place);
    if (!argument.element) refuse(place, `${name} is not an array`);
    if (argument.hashed) refuse(place, `${name} is indexed, so the log contains only its hash`);
    return path;
  });
  if (new Set(names).size < names.length) refuse(place, "an array is listed twice");
  return paths;
}

/** Returns the event with the items of arrays in their place. */
function withItems(event, each) {
  return each.length ? { ...event, inputs: itemsIn(event.inputs, each) } : event;
}

function itemsIn(inputs, each) {
  return inputs.map((argument, index) => {
    const below = each.filter(([first]) => first === index).map((path) => path.slice(1));
    if (below.some((path) => !path.length)) return { ...argument.element, name: argument.name, hashed: false };
    return { ...argument, components: itemsIn(argument.components, below) };
  });
}

/** Returns whether a value is inside an array, by their paths. */
export const isInside = (path, array) => array.every((index, place) => path[place] === index);

function signatureOf(text, place) {
  try {
    return parseEvent(text);
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    refuse(place, `signature: ${error.message}`);
  }
}

function parseFields(value, event, fact, place) {
  const declared = new Map(declarations.facts[fact].fields.map((field) => [field.name, field]));
  const written = table(value, `${place}: fields`, [...declared.keys()]);
  for (const field of declared.values()) {
    if (field.required && !Object.hasOwn(written, field.name)) refuse(place, `${fact} needs the field ${field.name}`);
  }
  const { oneOf } = declarations.facts[fact];
  if (oneOf.length && oneOf.filter((name) => Object.hasOwn(written, name)).length !== 1) {
    refuse(place, `${fact} needs exactly one of the fields ${oneOf.join(", ")}`);
  }
  return new Map(
    Object.entries(written).map(([name, binding]) => [
      name,
      parseBinding(declared.get(name), binding, event, fact, `${place}: field ${name}`),
    ]),
  );
}

/**
 * A binding is { constant }, { path, argument }, { path, argument, form } or { path, argument, map, fallback }, or
 * { path, argument, atAddress } for the id of the device that has the address.
 */
function parseBinding(field, written, event, fact, place) {
  const keys = ["arg", "as", "const", "map", "default", "address"];
  const binding = table(typeof written === "string" ? { arg: written } : written, place, keys);
  if ("address" in binding) return parseAtAddress(field, binding, event, fact, place);
  if ("arg" in binding === "const" in binding) refuse(place, "write either arg or const");
  if ("const" in binding) {
    if (Object.keys(binding).length > 1) refuse(place, "a const takes neither map nor default nor as");
    return { constant: fieldValue(field, binding.const, place) };
  }
  const value = valueNamed(binding.arg, event, place);
  if ("map" in binding) {
    if ("as" in binding) refuse(place, "as is for values that no map translates");
    return parseTranslation(field, value, binding, place);
  }
  if ("default" in binding) refuse(place, "default is for values that a map does not list");
  if ("as" in binding) {
    if (!hasForm(field, value.argument, binding.as)) refuse(place, "the argument has no such form");
    return { ...value, form: binding.as };
  }
  if (!takes(field, value.argument)) refuse(place, "the argument does not fit the field");
  return value;
}

function parseAtAddress(field, binding, event, fact, place) {
  if (field.name !== "token_id") refuse(place, "an address names a device, which is token_id");
  if (fact === "DeviceMinted") refuse(place, "DeviceMinted begins a device, so no device has its address yet");
  if (Object.keys(binding).length > 1) refuse(place, "an address takes neither arg nor const nor map nor default nor as");
  const value = valueNamed(binding.address, event, place);
  if (value.argument.type !== "address") refuse(place, "the argument is not an address");
  return { ...value, atAddress: true };
}

function parseTranslation(field, { path, argument }, binding, place) {
  if (field.holds === "SOURCE") refuse(place, "a source is the grant system of the whole rule");
  const map = new Map();
  for (const [key, value] of Object.entries(table(binding.map, `${place}: map`))) {
    const argumentKey = argumentValue(argument, key, place);
    if (map.has(argumentKey)) refuse(place, `${key} is listed twice`);
    map.set(argumentKey, fieldValue(field, value, place));
  }
  if (!map.size) refuse(place, "the map lists nothing");
  if ("default" in binding) return { path, argument, map, fallback: fieldValue(field, binding.default, place) };
  const complete = argument.type === "bool" && map.size === 2;
  if (!complete && !takes(field, argument)) refuse(place, "the map needs a default");
  return { path, argument, map };
}

/** Returns { path, argument } of an argument, or of the component of a tuple: the path has an index for each level. */
function valueNamed(name, event, place) {
  const value = valuesOf(event.inputs).find(({ argument }) => argument.name === name);
  if (typeof name !== "string" || !name || !value) refuse(place, `no argument ${String(name)} in the signature`);
  return value;
}

function valuesOf(inputs, before = [], prefix = "") {
  return inputs.flatMap((input, index) => {
    const path = [...before, index];
    const argument = { ...input, name: input.name && `${prefix}${input.name}` };
    const inside = argument.name && !argument.element && !argument.hashed ? argument.components : [];
    return [{ path, argument }, ...valuesOf(inside, path, `${argument.name}.`)];
  });
}

function parseSubjects(rule, fields, place) {
  const subjects = new Map();
  for (const [subject, field] of Object.entries(ID_OF_SUBJECT)) {
    if (!(subject in rule)) continue;
    if (!fields.has(field)) refuse(place, `${subject} names the contract of ${field}, which the rule does not set`);
    subjects.set(field, requiredText(rule, subject, place));
  }
  return subjects;
}

/** Returns the conditions by path: { path, value }, or instead of `value` the `role` of an address, or `noRole`. */
function parseWhere(rule, event, place) {
  return new Map(
    Object.entries(table(rule.where ?? {}, `${place}: where`)).map(([name, value]) => {
      const { path, argument } = valueNamed(name, event, place);
      if (typeof value !== "string" || !/^!?@/.test(value) || argument.type === "string") {
        return [path.join("."), { path, value: argumentValue(argument, value, place) }];
      }
      if (value.startsWith("!") && value !== NO_ROLE) refuse(place, `${value} is not a condition`);
      if (argument.type !== "address") refuse(place, `${name} is not an address`);
      return [path.join("."), value === NO_ROLE ? { path, noRole: true } : { path, role: value.slice(1) }];
    }),
  );
}

function checkRules(rules) {
  const roles = new Set(rules.flatMap(contractsOfRule));
  for (const rule of rules) {
    const conditions = [...rule.where.values()].flatMap(({ role }) => (role === undefined ? [] : [role]));
    for (const role of [...rule.subjects.values(), ...conditions]) {
      if (!roles.has(role)) refuse(rule.place, `names the role ${role}, which no rule has`);
    }
  }
  checkAddresses(rules);
  rules.forEach((later, place) => {
    const earlier = rules.slice(0, place).find((rule) => mayMatchOneLog(rule, later));
    if (earlier) refuse(later.place, `${earlier.place} already matches this event`);
  });
}

/** Refuses a rule that names devices by addresses that no rule sets. */
function checkAddresses(rules) {
  const deviceRole = (rule) => rule.subjects.get("token_id") ?? rule.contract;
  const known = new Set(rules.filter(({ fact, fields }) => SETTING_ADDRESSES.includes(fact) && fields.has("address")).map(deviceRole));
  for (const rule of rules) {
    if (rule.fields.get("token_id")?.atAddress && !known.has(deviceRole(rule))) {
      refuse(rule.place, `no rule sets the addresses of the devices of ${deviceRole(rule)}`);
    }
  }
}

function mayMatchOneLog(first, second) {
  const [a, b] = [first.event, second.event];
  if (first.contract !== second.contract || a.topic0 !== b.topic0 || a.topicCount !== b.topicCount) return false;
  if (first.lastBlock < second.firstBlock || second.lastBlock < first.firstBlock) return false;
  const samePlaces = a.inputs.every((argument, index) => argument.indexed === b.inputs[index].indexed);
  const differ = ([path, condition]) => {
    const other = second.where.get(path);
    if (other && (condition.noRole || other.noRole)) return Boolean(condition.role ?? other.role);
    return other && (condition.role === undefined
      ? other.role === undefined && condition.value !== other.value
      : other.role !== undefined && condition.role !== other.role);
  };
  return !(samePlaces && [...first.where].some(differ));
}

// Factories

const FACTORY_KEYS = ["contract", "signature", "creates", "address", "where", "whole"];

function parseFactories(value, roles) {
  if (!Array.isArray(value)) refuse("factory", "each factory begins with a line [[factory]]");
  return value.map((one, index) => {
    const place = `factory ${index + 1}`;
    const factory = table(one, place, FACTORY_KEYS);
    const { contract, event } = emitted(factory, place);
    const creates = requiredText(factory, "creates", place);
    if (!roles.has(creates)) refuse(place, `creates is the role ${creates}, which no rule has`);
    if (valueNamed(factory.address, event, place).argument.type !== "address") refuse(place, "address is no address");
    const conditions = [...parseWhere(factory, event, place).values()];
    if (conditions.some(({ role, noRole }) => role !== undefined || noRole)) refuse(place, "where takes values alone");
    flag(factory, "whole", place);
    return { contract, creates };
  });
}

/** Refuses rules and calls whose meaning would change with the contracts that a factory creates. */
function checkFactories(factories, rules, called) {
  const created = new Set(factories.map((factory) => factory.creates));
  if (!created.size) return;
  const { ofTheChain, ofOthers } = declarations.decidingFacts;
  for (const { place, contract, fact, join, subjects, where } of rules) {
    const conditions = [...where.values()];
    const named = [...subjects.values(), ...conditions.map(({ role }) => role), join?.contract];
    if (named.some((role) => created.has(role))) refuse(place, "names a role that a factory fills");
    if (conditions.some(({ noRole }) => noRole)) refuse(place, "!@ changes with the contracts of factories");
    const decides = ofTheChain.includes(fact) || (subjects.size > 0 && ofOthers.includes(fact));
    if (created.has(contract) && decides) refuse(place, `${fact} decides about tokens of other contracts`);
  }
  for (const role of called) if (created.has(role)) refuse("call", "needs one address");
}

// Grants, networks, calls

function parseUnread(value, rules) {
  if (!Array.isArray(value)) refuse("unread", "expected a list of roles");
  for (const role of value) {
    if (typeof role !== "string" || !ROLE.test(role)) refuse("unread", `${String(role)} is not a role name`);
    if (rules.some((rule) => contractsOfRule(rule).includes(role))) refuse("unread", `the role ${role} has rules`);
  }
  return value;
}

function parseGrants(value, rules) {
  const written = Object.entries(table(value, "grants"));
  const grants = new Map(written.map(([source, policy]) => [source, grantPolicy(policy, `grants.${source}`)]));
  const used = new Set(rules.filter((rule) => GRANT_FACTS.includes(rule.fact)).map(sourceOf));
  for (const source of used) if (!grants.has(source)) refuse("grants", `the grant source ${source} has no policy`);
  for (const source of grants.keys()) if (!used.has(source)) refuse(`grants.${source}`, "no rule uses this source");
  return grants;
}

const sourceOf = (rule) => rule.fields.get("source")?.constant ?? "contract";

function grantPolicy(value, place) {
  const flags = ["expiry_inclusive", "zero_permissions_revoke"];
  const policy = table(value, place, ["zero_expiry", ...flags, "voided_by_transfer", "permission_bits"]);
  const zeroExpiry = requiredText(policy, "zero_expiry", place);
  if (!ZERO_EXPIRY.includes(zeroExpiry)) refuse(place, `zero_expiry is ${zeroExpiry}`);
  const [expiryInclusive, zeroPermissionsRevoke] = flags.map((name) => flag(policy, name, place));
  const bits = policy.permission_bits ?? 1n;
  if (typeof bits !== "bigint" || bits < 1n || bits > 256n) refuse(place, "permission_bits is not from 1 to 256");
  const voidedByTransfer = voidedBy(policy.voided_by_transfer ?? false, place);
  return { zeroExpiry, expiryInclusive, zeroPermissionsRevoke, voidedByTransfer };
}

/** Returns the tokens whose transfer or burn ends a grant on them. */
function voidedBy(value, place) {
  if (typeof value === "boolean") return value ? declarations.transferable : [];
  if (!Array.isArray(value)) refuse(place, "'voided_by_transfer' is neither true nor false, nor a list");
  for (const name of value) {
    if (!declarations.transferable.includes(name)) refuse(place, `voided_by_transfer: ${String(name)} is not transferred`);
  }
  return value;
}

function checkNetworks(value, roles) {
  for (const [chainId, contracts] of Object.entries(table(value, "networks"))) {
    const place = `networks.${chainId}`;
    if (!CHAIN_ID.test(chainId)) refuse(place, "is not a chain id");
    for (const known of Object.values(table(contracts, place, [...roles]))) {
      for (const one of Array.isArray(known) ? known : [known]) {
        const contract = table(one, place, ["address", "start_block"]);
        if (!("start_block" in contract)) refuse(place, "'start_block' is missing");
        address(requiredText(contract, "address", place), place);
        blockNumber(contract, "start_block", 0n, place);
      }
    }
  }
}

function checkCalls(value, roles) {
  if (!Array.isArray(value)) refuse("call", "each call begins with a line [[call]]");
  const fields = new Set();
  return value.flatMap((one, index) => {
    const place = `call ${index + 1}`;
    const call = table(one, place, ["contract", "function", "tells", "arguments", "manufacturer"]);
    const field = requiredText(call, "tells", place);
    if (!Object.hasOwn(declarations.callTypes, field) || fields.has(field)) refuse(place, `tells is ${field}`);
    fields.add(field);
    const named = [requiredText(call, "contract", place), ...callArguments(call, field, place)];
    if ("manufacturer" in call) named.push(requiredText(call, "manufacturer", place));
    for (const role of named) if (!roles.has(role)) refuse(place, `unknown role ${role}`);
    return named;
  });
}

/** Returns the roles that are arguments of a call. */
function callArguments(call, field, place) {
  const match = FUNCTION.exec(requiredText(call, "function", place));
  if (!match) refuse(place, "function is not a function that returns a value");
  const called = signatureOf(match[1], place);
  const [result, ...others] = signatureOf(`result(${match[2]})`, place).inputs;
  if (others.length || !result || result.type !== declarations.callTypes[field] || result.indexed) {
    refuse(place, `tells = "${field}" needs a function that returns one ${declarations.callTypes[field]}`);
  }
  const written = call.arguments ?? ["id"];
  if (!Array.isArray(written) || written.length !== called.inputs.length) refuse(place, "arguments do not fit");
  return called.inputs.flatMap(({ type }, index) => {
    if (written[index] === "id" && ["uint256", "bytes32"].includes(type)) return [];
    if (String(written[index]).startsWith("@") && type === "address") return [written[index].slice(1)];
    return refuse(place, `an argument does not fit ${type}`);
  });
}

// Values of TOML

function table(value, place, keys = []) {
  const isTable = value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
  if (!isTable) refuse(place, "expected a table");
  const unknown = Object.keys(value).find((key) => keys.length && !keys.includes(key));
  if (unknown !== undefined) refuse(place, `unknown key ${unknown}`);
  return Object.assign(Object.create(null), value);
}

function requiredText(values, key, place) {
  if (typeof values[key] !== "string" || !values[key]) refuse(place, `'${key}' is missing, or no text`);
  return values[key];
}

function blockNumber(values, key, missing, place) {
  const number = values[key] ?? missing;
  if (typeof number !== INTEGER || number < 0n || number > MAX_BLOCK_NUMBER) refuse(place, `'${key}' is no block number`);
  return number;
}

function flag(values, key, place) {
  const value = values[key] ?? false;
  if (typeof value !== "boolean") refuse(place, `'${key}' is neither true nor false`);
  return value;
}

function refuse(place, message) {
  throw new ProfileError(`${place}: ${message}`);
}
