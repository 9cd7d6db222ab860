// Does the document fit the JSON Schema of bundles? Only the keywords that the schema uses are known.
import declarations from "./declarations.json" with { type: "json" };
import { Failed } from "./failed.js";

const { schema } = declarations;
const INT64_MAX = 2n ** 63n - 1n; // the only `maximum`; JSON.parse would round it

/** Raises Failed if the document is no bundle. */
export function checkFormat(document) {
  check(document, schema, "$");
}

function check(value, rule, path) {
  const flaw = flawOf(value, rule, path);
  if (flaw) throw new Failed(`the file is no bundle of a known format: ${flaw}`);
}

function flawOf(value, rule, path) {
  if (rule.$ref) return flawOf(value, schema.$defs[rule.$ref.slice("#/$defs/".length)], path);
  if (rule.anyOf) {
    return rule.anyOf.every((choice) => flawOf(value, choice, path)) ? `an unexpected value at ${path}` : null;
  }
  if (rule.enum) return rule.enum.includes(value) ? null : `an unknown value at ${path}`;
  if (kindOf(value) !== rule.type) return `expected ${rule.type} at ${path}`;
  switch (rule.type) {
    case "integer":
      return value < (rule.minimum ?? value) || (rule.maximum && value > INT64_MAX)
        ? `a number outside its range at ${path}`
        : null;
    case "string":
      return rule.pattern && !pattern(rule.pattern).test(value) ? `an unexpected text at ${path}` : null;
    case "array":
      return firstFlaw(value, (item, place) => flawOf(item, rule.items, `${path}[${place}]`));
    case "object":
      return flawOfObject(value, rule, path);
  }
  return null;
}

function flawOfObject(value, rule, path) {
  const missing = (rule.required ?? []).find((name) => !(name in value));
  if (missing) return `${missing} is missing at ${path}`;
  return firstFlaw(Object.keys(value), (name) => {
    const own = rule.properties && Object.hasOwn(rule.properties, name) ? rule.properties[name] : null;
    if (!own && !rule.additionalProperties) return `an unknown member ${JSON.stringify(name)} at ${path}`;
    return flawOf(value[name], own ?? rule.additionalProperties, `${path}.${name}`);
  });
}

function firstFlaw(items, flaw) {
  for (const [place, item] of items.entries()) {
    const found = flaw(item, place);
    if (found) return found;
  }
  return null;
}

function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" || typeof value === "bigint" ? "integer" : typeof value;
}

const patterns = new Map();

function pattern(text) {
  if (!patterns.has(text)) patterns.set(text, new RegExp(text));
  return patterns.get(text);
}
