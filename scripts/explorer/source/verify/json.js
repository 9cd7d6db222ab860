// JSON as the check needs it: whole numbers exact, whatever their size, and the canonical form that is hashed.
import { Failed } from "./failed.js";

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const INTEGER = /-?(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const WORD = /true|false|null/y;
const WORDS = { true: true, false: false, null: null };

/**
 * Returns the value of a document without fractions. A whole number that a double cannot hold is a BigInt, every other
 * one a number. Raises Failed.
 */
export function parseJson(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Failed("the file is no bundle of a known format: it is not UTF-8");
  }
  const reader = new Reader(text);
  try {
    const value = reader.value();
    reader.end();
    return value;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Failed("the file is no bundle of a known format: it is nested too deeply");
  }
}

class Reader {
  constructor(text) {
    this.text = text;
    this.place = 0;
  }

  value() {
    this.take(SPACE);
    const first = this.text[this.place];
    const value = first === "{" ? this.object() : first === "[" ? this.array() : this.scalar(first);
    this.take(SPACE);
    return value;
  }

  object() {
    const object = Object.create(null); // so that "__proto__" is a key like any other
    this.members("}", () => {
      this.take(SPACE);
      const key = this.string();
      this.take(SPACE);
      this.expect(":");
      object[key] = this.value();
    });
    return object;
  }

  array() {
    const array = [];
    this.members("]", () => array.push(this.value()));
    return array;
  }

  members(end, read) {
    this.place += 1;
    this.take(SPACE);
    if (this.text[this.place] === end) {
      this.place += 1;
      return;
    }
    for (;;) {
      read();
      if (this.text[this.place] === end) break;
      this.expect(",");
    }
    this.place += 1;
  }

  scalar(first) {
    if (first === '"') return this.string();
    const word = this.take(WORD);
    if (word) return WORDS[word];
    const digits = this.take(INTEGER);
    if (!digits) this.refuse();
    return exact(BigInt(digits));
  }

  string() {
    const start = this.place;
    this.expect('"');
    this.take(PLAIN);
    while (this.take(ESCAPE)) this.take(PLAIN); // not one expression: it would search for long in a damaged text
    this.expect('"');
    const text = JSON.parse(this.text.slice(start, this.place));
    if (/\p{Surrogate}/u.test(text)) this.refuse();
    return text;
  }

  take(pattern) {
    pattern.lastIndex = this.place;
    const match = pattern.exec(this.text);
    if (!match) return "";
    this.place = pattern.lastIndex;
    return match[0];
  }

  expect(character) {
    if (this.text[this.place] !== character) this.refuse();
    this.place += 1;
  }

  end() {
    if (this.place < this.text.length) this.refuse();
  }

  refuse() {
    throw new Failed(
      `the file is no bundle of a known format: it is not JSON with whole numbers at character ${this.place}`,
    );
  }
}

/** Returns a BigInt as a number if a double can hold it. */
export function exact(integer) {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** Returns JSON in the form that is hashed: keys sorted, no spaces (RFC 8785; no fractions occur). */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return scalarJson(value);
  const members = Object.keys(value)
    .sort(byCodePoint)
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(",")}}`;
}

/** Returns JSON for a message: in the order of the document, with spaces. */
export function shownJson(value) {
  if (Array.isArray(value)) return `[${value.map(shownJson).join(", ")}]`;
  if (value === null || typeof value !== "object") return scalarJson(value ?? null);
  const members = Object.keys(value).map((key) => `${JSON.stringify(key)}: ${shownJson(value[key])}`);
  return `{${members.join(", ")}}`;
}

const scalarJson = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

/** Compares texts by code points, which differs from the order of UTF-16 above U+FFFF. */
export function byCodePoint(first, second) {
  const a = [...first];
  const b = [...second];
  const place = a.findIndex((character, index) => character !== b[index]);
  if (place < 0) return a.length - b.length;
  return b.length <= place ? 1 : a[place].codePointAt(0) - b[place].codePointAt(0);
}
