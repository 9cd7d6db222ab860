// Solidity's event signatures: the name, the arguments and topic0 of an event.
import { keccakText, WORD } from "./bytes.js";

const MAX_INDEXED = 3;
const DYNAMIC = new Set(["string", "bytes"]);
const ALIASES = { uint: "uint256", int: "int256" };
const MAX_DEPTH = 16; // tuples inside tuples, and arrays inside arrays
const MAX_HEAD = 2 ** 24; // bytes of a value of fixed size
const WORDS = new Set(["address", "bool"]); // the types of one word
for (let bits = 8; bits <= 256; bits += 8) WORDS.add(`uint${bits}`).add(`int${bits}`);
for (let size = 1; size <= WORD; size += 1) WORDS.add(`bytes${size}`);
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

function parseArguments(tokens, depth = 0) {
  const inputs = [];
  while (tokens.text !== ")") {
    const argument = parseArgument(tokens, depth);
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

function parseArgument(tokens, depth) {
  const layout = parseType(tokens, depth);
  if (tokens.text === "payable" && layout.type === "address") tokens.take();
  const indexed = tokens.text === "indexed";
  if (indexed && depth) tokens.refuse("a component of a tuple cannot be indexed");
  if (indexed) tokens.take();
  const name = [",", ")"].includes(tokens.text) ? "" : tokens.identifier("the argument's name");
  if (!indexed && layout.headSize > MAX_HEAD) tokens.refuse(`a value of type ${layout.type} is too large`);
  const headSize = indexed ? 0 : layout.headSize;
  return { ...layout, name, indexed, headSize, hashed: indexed && !WORDS.has(layout.type) };
}

/**
 * Returns how a type is encoded: { type, components, element, length, dynamic, headSize }. `components` are those of a
 * tuple, `element` is that of an array, `length` null if each array has its own.
 */
function parseType(tokens, depth) {
  const isTuple = tokens.text === "(" || tokens.text === "tuple";
  let layout = isTuple ? parseTuple(tokens, depth) : parseElementary(tokens);
  for (let dimensions = 1; tokens.text === "["; dimensions += 1) {
    tokens.take();
    let length = "";
    if (tokens.text !== "]") {
      if (!ARRAY_LENGTH.test(tokens.text)) tokens.refuse("expected the array's length or ']'");
      length = tokens.take();
    }
    tokens.expect("]");
    if (dimensions > MAX_DEPTH) tokens.refuse("too many arrays inside each other");
    layout = arrayOf(layout, length);
  }
  return layout;
}

function arrayOf(element, length) {
  const dynamic = !length || element.dynamic;
  return {
    type: `${element.type}[${length}]`,
    components: [],
    element,
    length: length ? Number(length) : null,
    dynamic,
    headSize: dynamic ? WORD : Number(length) * element.headSize,
  };
}

function parseTuple(tokens, depth) {
  if (tokens.text === "tuple") tokens.take();
  tokens.expect("(");
  if (depth === MAX_DEPTH) tokens.refuse("too many tuples inside each other");
  const components = parseArguments(tokens, depth + 1);
  if (!components.length) tokens.refuse("a tuple without components");
  const dynamic = components.some((component) => component.dynamic);
  const size = components.reduce((sum, component) => sum + component.headSize, 0);
  const type = `(${components.map((component) => component.type).join(",")})`;
  return { type, components, element: null, length: null, dynamic, headSize: dynamic ? WORD : size };
}

function parseElementary(tokens) {
  let type = tokens.identifier("a type");
  type = Object.hasOwn(ALIASES, type) ? ALIASES[type] : type;
  if (!WORDS.has(type) && !DYNAMIC.has(type)) tokens.refuse(`unknown type ${type}`);
  return { type, components: [], element: null, length: null, dynamic: DYNAMIC.has(type), headSize: WORD };
}
