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
    if (argument.hashed) return `0x${part(this.topics, place, WORD)}`;
    if (argument.indexed) return word(this.topics, place, argument.type);
    if (this.size < this.event.headSize) throw new Unreadable("the data ends inside its head");
    this.left = this.size; // bytes that the tails of the argument may take
    return this.value(argument, 0, this.event.headSize, place);
  }

  /**
   * Returns the value whose head is at a place. Offsets count from the frame, which is the begin of the innermost tuple
   * or of an array's elements, and point behind its heads.
   */
  value(argument, frame, heads, place) {
    if (!argument.dynamic) return this.body(argument, frame, heads, place);
    const start = BigInt(frame) + unsigned(part(this.data, place, WORD));
    if (start < heads || start + BigInt(WORD) > this.size) throw new Unreadable(`${argument.name}: a bad offset`);
    return this.body(argument, frame, heads, Number(start));
  }

  /** Returns the value that begins at a place. */
  body(argument, frame, heads, place) {
    if (argument.element) return this.array(argument, frame, heads, place);
    if (argument.components.length) return this.tuple(argument, frame, heads, place);
    return argument.dynamic ? this.text(argument, place) : word(this.data, place, argument.type);
  }

  text(argument, place) {
    const length = this.length(place);
    const padding = (WORD - (length % WORD)) % WORD;
    const start = place + WORD;
    this.take(start, length + padding);
    if (!isZero(part(this.data, start + length, padding))) throw new Unreadable(`${argument.name}: dirty padding`);
    const bytes = part(this.data, start, length);
    return argument.type === "string" ? cleanText(bytes) : `0x${bytes}`;
  }

  array({ element, length, dynamic }, frame, heads, place) {
    const count = length ?? this.length(place);
    const start = length === null ? place + WORD : place;
    if (dynamic) this.take(start, count * element.headSize);
    const [base, end] = dynamic ? [start, start + count * element.headSize] : [frame, heads];
    return Array.from({ length: count }, (_, index) => this.value(element, base, end, start + index * element.headSize));
  }

  tuple({ components, dynamic }, frame, heads, place) {
    const size = components.reduce((sum, component) => sum + component.headSize, 0);
    if (dynamic) this.take(place, size);
    const [base, end] = dynamic ? [place, place + size] : [frame, heads];
    let start = place;
    return components.map((component) => {
      const value = this.value(component, base, end, start);
      start += component.headSize;
      return value;
    });
  }

  length(place) {
    this.take(place, WORD);
    const length = unsigned(part(this.data, place, WORD));
    if (length > this.size) throw new Unreadable("a length beyond the data");
    return Number(length);
  }

  /** Raises Unreadable if the data does not hold the bytes, or if overlapping tails of an argument take too many. */
  take(start, size) {
    this.left -= size;
    if (start + size > this.size || this.left < 0) throw new Unreadable("a value runs beyond the data");
  }
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
