// Decodes the arguments of a log. What fits is what `schema/abi/decoder.py` accepts: unused bits are zero, an offset
// points behind the head and inside the data, text is padded to whole words.
import { cleanText, WORD } from "./bytes.js";
import { Unreadable } from "./failed.js";

/**
 * Returns the arguments of a log in their order, or null if a guard refuses one. `topics` and `data` are hex. `guards`
 * hold a function by the index of an argument, which is then read before the others. Raises Unreadable.
 */
export function decodeLog(event, topics, data, guards = new Map()) {
  const log = new LogBytes(event, topics.slice(2), data.slice(2));
  const places = placesOf(event);
  const values = new Array(event.inputs.length);
  const order = [...event.inputs.keys()].sort((a, b) => guards.has(b) - guards.has(a) || a - b);
  for (const index of order) {
    values[index] = log.argument(event.inputs[index], places[index]);
    if (guards.has(index) && !guards.get(index)(values[index])) return null;
  }
  return values;
}

function placesOf(event) {
  let topic = WORD;
  let head = 0;
  return event.inputs.map((argument) => {
    const place = argument.indexed ? topic : head;
    topic += argument.indexed ? WORD : 0;
    head += argument.headSize;
    return place;
  });
}

class LogBytes {
  constructor(event, topics, data) {
    this.event = event;
    this.topics = topics;
    this.data = data;
    this.size = data.length / 2;
  }

  argument(argument, place) {
    if (!argument.indexed && this.size < this.event.headSize) throw new Unreadable("the data ends inside its head");
    const source = argument.indexed ? this.topics : this.data;
    if (argument.hashed) return `0x${part(source, place, WORD)}`;
    if (argument.dynamic) return this.text(argument, place);
    if (argument.type.endsWith("[]")) return this.array(argument, place);
    const [element, isArray] = argument.type.split("[");
    return isArray ? words(source, place, argument.headSize / WORD, element) : word(source, place, argument.type);
  }

  text(argument, place) {
    const { start, length } = this.tail(place);
    const padding = (WORD - (length % WORD)) % WORD;
    if (start + length + padding > this.size) throw new Unreadable(`${argument.name}: its text ends too late`);
    if (!isZero(part(this.data, start + length, padding))) throw new Unreadable(`${argument.name}: dirty padding`);
    const bytes = part(this.data, start, length);
    return argument.type === "string" ? cleanText(bytes) : `0x${bytes}`;
  }

  array(argument, place) {
    const { start, length } = this.tail(place);
    if (start + WORD * length > this.size) throw new Unreadable(`${argument.name}: its array ends too late`);
    return words(this.data, start, length, argument.type.slice(0, -2));
  }

  tail(place) {
    const offset = unsigned(part(this.data, place, WORD));
    if (offset < this.event.headSize || offset + BigInt(WORD) > this.size) throw new Unreadable("a bad offset");
    const start = Number(offset) + WORD;
    const length = unsigned(part(this.data, start - WORD, WORD));
    if (length > this.size) throw new Unreadable("a length beyond the data");
    return { start, length: Number(length) };
  }
}

function words(source, place, count, type) {
  return Array.from({ length: count }, (_, index) => word(source, place + WORD * index, type));
}

function word(source, place, type) {
  const hex = part(source, place, WORD);
  const [, kind, digits] = /^([a-z]+)([0-9]*)$/.exec(type);
  const size = Number(digits);
  const value = unsigned(hex);
  switch (kind) {
    case "uint":
      if (BigInt.asUintN(size, value) !== value) misfit(hex, type);
      return value;
    case "int":
      if (BigInt.asUintN(256, BigInt.asIntN(size, value)) !== value) misfit(hex, type);
      return BigInt.asIntN(256, value);
    case "bool":
      if (value > 1n) misfit(hex, type);
      return value === 1n;
    case "address":
      if (!isZero(hex.slice(0, 24))) misfit(hex, type);
      return `0x${hex.slice(24)}`;
    default:
      if (!isZero(hex.slice(2 * size))) misfit(hex, type);
      return `0x${hex.slice(0, 2 * size)}`;
  }
}

function misfit(hex, type) {
  throw new Unreadable(`0x${hex} is not a valid ${type}`);
}

const part = (hex, start, length) => hex.slice(2 * start, 2 * (start + length));
const isZero = (hex) => /^0*$/.test(hex);
const unsigned = (hex) => BigInt(`0x${hex}`);
