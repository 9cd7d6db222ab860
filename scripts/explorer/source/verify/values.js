// Values of a profile: what a field of a fact takes, and how TOML writes field values and argument values.
import declarations from "./declarations.json" with { type: "json" };
import { checksummed, cleanText, keccak, keccakText, fromHex } from "./bytes.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

const NUMBER = /^(?:-?[0-9]{1,78}|0x[0-9a-fA-F]{1,64})$/;

export const INTEGER = "bigint"; // the type of TOML's whole numbers

/** A profile is invalid. The message names the place. */
export class ProfileError extends Error {}

/** Returns whether the values of an argument are values of a field, without a map. */
export function takes(field, argument) {
  const kind = argument.hashed ? "hash" : argument.type.replace(/[0-9]+$/, "");
  switch (field.holds) {
    case "NUMBER":
    case "CODE":
      return kind === "uint" || kind === "int";
    case "ID": // bytes of a fixed size are a number
      return ["uint", "int", "address"].includes(kind) || (kind === "bytes" && !argument.dynamic);
    case "ADDRESS":
      return kind === "address";
    case "HASH":
      return kind === "hash" || argument.type === "bytes32";
    case "TEXT":
      return kind === "string";
    case "FLAG":
      return kind === "bool";
    case "SCOPE":
      return kind === "uint" || kind === "string";
  }
  return false; // a kind of test, a grant source
}

const isBytes = (argument) => /^bytes[0-9]*$/.test(argument.type);
const FORMS = {
  text: (argument) => isBytes(argument) && !argument.hashed,
  hex: (argument) => isBytes(argument) || argument.hashed || argument.type === "address",
  decimal: isNumber,
};

/** Returns whether an argument is a uintN or an intN. */
export function isNumber(argument) {
  return /^u?int[0-9]+$/.test(argument.type);
}

/** Returns whether the values of an argument have this form as a text, and the field takes a text. */
export function hasForm(field, argument, form) {
  return ["TEXT", "SCOPE"].includes(field.holds) && Object.hasOwn(FORMS, form) && FORMS[form](argument);
}

/** Returns a value as a text in one of the forms. */
export function textOf(argument, value, form) {
  if (form === "decimal") return String(value);
  if (form === "text") return cleanText(value.slice(2).replace(/(?:00)*$/, ""));
  return argument.type === "address" ? checksummed(value) : value;
}

/** Returns a constant of the profile as the fact contains it. Raises ProfileError. */
export function fieldValue(field, value, place) {
  const text = typeof value === "string";
  switch (field.holds) {
    case "CODE":
      if (text) return codeOf(field.codes, value, place);
      break;
    case "TEST_KIND":
      if (declarations.testKinds.includes(value)) return value;
      break;
    case "TEXT":
    case "SCOPE":
    case "SOURCE":
      if (text) return cleaned(value);
      break;
    case "FLAG":
      if (typeof value === "boolean") return value;
      break;
    case "ADDRESS":
      if (text) return address(value, place);
      break;
    case "HASH":
      if (text) return hex(value, 32, place);
      break;
  }
  const isCount = ["NUMBER", "ID", "CODE"].includes(field.holds) && typeof value === INTEGER;
  if (isCount && value >= 0n && value < 2n ** 256n) return value;
  throw new ProfileError(`${place}: ${String(value)} does not fit ${field.name}`);
}

/** Returns a value of the profile as the decoder returns it. Raises ProfileError. */
export function argumentValue(argument, value, place) {
  const [, kind, digits] = /^(.*?)([0-9]*)$/.exec(argument.type);
  const size = Number(digits);
  const text = typeof value === "string";
  if (kind === "string" && text) return argument.hashed ? keccakText(value) : cleaned(value);
  if (kind === "bool" && typeof value === "boolean") return value;
  if (kind === "bool" && ["true", "false"].includes(value)) return value === "true";
  if ((kind === "uint" || kind === "int") && (text || typeof value === INTEGER)) return number(kind, size, value, place);
  if (kind === "address" && text) return address(value, place);
  if (kind === "bytes" && text) {
    const bytes = hex(value, size || null, place);
    return argument.hashed ? keccak(fromHex(bytes)) : bytes;
  }
  throw new ProfileError(`${place}: ${String(value)} is not a valid ${argument.type}`);
}

/** Returns an address in lower case. If it is in mixed case, its EIP-55 checksum must be right. Raises ProfileError. */
export function address(text, place) {
  const bytes = hex(text, 20, place);
  const digits = text.slice(2);
  const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  if (mixed && text !== checksummed(bytes)) throw new ProfileError(`${place}: ${text} has a wrong checksum`);
  return bytes;
}

function codeOf(codes, name, place) {
  const numbers = declarations.enumerations[codes];
  if (!Object.hasOwn(numbers, name)) throw new ProfileError(`${place}: ${name} is not in ${codes}`);
  return BigInt(numbers[name]);
}

function number(kind, size, value, place) {
  if (typeof value === "string" && !NUMBER.test(value)) throw new ProfileError(`${place}: ${value} is no whole number`);
  const parsed = typeof value === INTEGER ? value : value.startsWith("-") ? -BigInt(value.slice(1)) : BigInt(value);
  const fits = kind === "uint" ? BigInt.asUintN(size, parsed) : BigInt.asIntN(size, parsed);
  if (fits !== parsed) throw new ProfileError(`${place}: ${parsed} is not a valid ${kind}${size}`);
  return parsed;
}

function hex(text, size, place) {
  const digits = /^0x((?:[0-9a-fA-F]{2})*)$/.exec(text)?.[1];
  if (digits === undefined || (size && digits.length !== 2 * size)) {
    throw new ProfileError(`${place}: ${text} is not 0x and hex digits`);
  }
  return `0x${digits.toLowerCase()}`;
}

const cleaned = (text) => cleanText(bytesToHex(utf8ToBytes(text)));
