// Solidity's event signatures: the name, the arguments and topic0 of an event.
import { keccakText, WORD } from "./bytes.js";

const MAX_INDEXED = 3;
const DYNAMIC = new Set(["string", "bytes"]);
const ALIASES = { uint: "uint256", int: "int256" };
const ELEMENTARY = new Set(["address", "bool", ...DYNAMIC]);
for (let bits = 8; bits <= 256; bits += 8) ELEMENTARY.add(`uint${bits}`).add(`int${bits}`);
for (let size = 1; size <= WORD; size += 1) ELEMENTARY.add(`bytes${size}`);
const TOKEN = /\s*([A-Za-z_$][\w$]*|[0-9]+|[^\s\w]|$)/y;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const ARRAY_LENGTH = /^[1-9][0-9]{0,77}$/;

/** A signature cannot be parsed. */
export class SignatureError extends Error {}

/** Parses a signature such as `Sold(uint256 indexed id, string note)`. Raises SignatureError. */
export function parseEvent(signature) {
  const tokens = new Tokens(signature.trim().replace(/\s+/g, " "));
  if (tokens.text === "event") tokens.take();
  const name = tokens.identifier("the event's name");
  tokens.expect("(");
  const inputs = parseArguments(tokens);
  if (tokens.text === "anonymous") tokens.refuse("an anonymous event has no topic0");
  if (tokens.text === ";") tokens.take();
  if (tokens.text) tokens.refuse("expected nothing after the arguments");
  return {
    name,
    inputs,
    topic0: keccakText(`${name}(${inputs.map((argument) => argument.type).join(",")})`),
    topicCount: 1 + inputs.filter((argument) => argument.indexed).length,
    headSize: inputs.reduce((size, argument) => size + argument.headSize, 0),
  };
}

class Tokens {
  constructor(signature) {
    this.signature = signature;
    this.end = 0;
    this.take();
  }

  take() {
    const taken = this.text;
    TOKEN.lastIndex = this.end;
    const match = TOKEN.exec(this.signature);
    if (!match) this.refuse("unexpected character");
    this.text = match[1];
    this.end = TOKEN.lastIndex;
    return taken;
  }

  identifier(what) {
    if (!IDENTIFIER.test(this.text)) this.refuse(`expected ${what}`);
    return this.take();
  }

  expect(text) {
    if (this.text !== text) this.refuse(`expected '${text}'`);
    this.take();
  }

  refuse(what) {
    throw new SignatureError(`${what} at column ${this.end + 1} of ${this.signature}`);
  }
}

function parseArguments(tokens) {
  const inputs = [];
  while (tokens.text !== ")") {
    const argument = parseArgument(tokens);
    if (argument.name && inputs.some((other) => other.name === argument.name)) tokens.refuse("a second argument");
    inputs.push(argument);
    if (inputs.filter((one) => one.indexed).length > MAX_INDEXED) tokens.refuse("too many indexed arguments");
    if (tokens.text !== ")") {
      tokens.expect(",");
      if (tokens.text === ")") tokens.refuse("expected a type");
    }
  }
  tokens.expect(")");
  return inputs;
}

function parseArgument(tokens) {
  const type = parseType(tokens);
  if (tokens.text === "payable" && type === "address") tokens.take();
  const indexed = tokens.text === "indexed";
  if (indexed) tokens.take();
  const name = [",", ")"].includes(tokens.text) ? "" : tokens.identifier("the argument's name");
  const [element, ...lengths] = type.split("[");
  if (lengths.length && !indexed && (DYNAMIC.has(element) || lengths.length > 1)) {
    tokens.refuse(`an argument of type ${type} is not supported unless it is indexed`);
  }
  const words = lengths.length && !type.endsWith("[]") ? Number.parseInt(lengths[0], 10) : 1;
  return {
    name,
    type,
    indexed,
    hashed: indexed && (DYNAMIC.has(type) || type.endsWith("]")),
    dynamic: DYNAMIC.has(type),
    headSize: indexed ? 0 : WORD * words,
  };
}

function parseType(tokens) {
  if (tokens.text === "(" || tokens.text === "tuple") tokens.refuse("tuples are not supported");
  let type = tokens.identifier("a type");
  type = Object.hasOwn(ALIASES, type) ? ALIASES[type] : type;
  if (!ELEMENTARY.has(type)) tokens.refuse(`unknown type ${type}`);
  while (tokens.text === "[") {
    tokens.take();
    let length = "";
    if (tokens.text !== "]") {
      if (!ARRAY_LENGTH.test(tokens.text)) tokens.refuse("expected the array's length or ']'");
      length = tokens.take();
    }
    tokens.expect("]");
    type += `[${length}]`;
  }
  return type;
}
