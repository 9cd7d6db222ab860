// The rows of a bundle while its events are folded. A position is `block << 96 | log << 32 | item`: a bundle names the
// log's index, which may be too large for the positions of a database. An id is the position of the first event that names
// a thing. A row is valid from one position up to another.
import declarations from "./declarations.json" with { type: "json" };
import { OPEN, saturate } from "./codes.js";

const ITEM_BITS = 32n;
const BLOCK_SHIFT = 64n + ITEM_BITS;

export const positionOf = (block, log, item) => (BigInt(block) << BLOCK_SHIFT) | (BigInt(log) << ITEM_BITS) | BigInt(item);

const addressText = (number) => `0x${number.toString(16).padStart(40, "0")}`;
const stored = (value) => (typeof value === "bigint" ? saturate(value) : value);
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export function positionText(position) {
  const log = BigInt.asUintN(64, position >> ITEM_BITS);
  const item = BigInt.asUintN(Number(ITEM_BITS), position);
  return `${position >> BLOCK_SHIFT}:${log}${item ? `:${item}` : ""}`;
}

/** Returns a row with the columns of a table and their defaults. */
function newRow(columns, values) {
  const defaults = Object.entries(columns).map(([name, value]) => [
    name,
    value === "OPEN" ? OPEN : typeof value === "number" ? BigInt(value) : value,
  ]);
  return { ...Object.fromEntries(defaults), ...values };
}

/** Open rows of a table by key, and all its rows in `rows`. With `oneABlock` the changes of a block make one row. */
class Spans {
  constructor({ columns, oneABlock }) {
    this.columns = columns;
    this.sameBits = oneABlock ? BLOCK_SHIFT : 0n;
    this.open = new Map();
    this.rows = [];
    this.before = new Map();
  }

  start(key, values) {
    const row = newRow(this.columns, values);
    this.open.set(key, row);
    this.rows.push(row);
    return row;
  }

  /** Closes an open row and returns it. */
  end(key, position) {
    const row = this.open.get(key);
    this.open.delete(key);
    row.valid_to = position;
    return row;
  }

  /** Returns a copy of the open row that begins at the position, to be changed in place. */
  change(key, position) {
    const row = this.open.get(key);
    if (row.valid_from >> this.sameBits === position >> this.sameBits) {
      row.valid_from = position;
      if (this.before.has(key)) this.before.get(key).valid_to = position;
      return row;
    }
    row.valid_to = position;
    this.before.set(key, row);
    return this.start(key, { ...row, valid_from: position, valid_to: OPEN });
  }
}

/** All rows that events make. Spans are members named as their table. */
export class Rows {
  constructor() {
    for (const [name, table] of Object.entries(declarations.spans)) this[name] = new Spans(table);
    for (const name of Object.keys(declarations.lifecycle)) this[name] = { rows: [] };
    this.identities = Object.fromEntries(declarations.identities.map((identity) => [identity, new Map()]));
    this.burned = new Map();
  }

  /** Adds a fact to its table of lifecycle facts: its fields are the columns of the same name. */
  record(table, { fact, position }, device) {
    const columns = Object.keys(declarations.lifecycle[table]);
    const values = Object.fromEntries(columns.map((name) => [name, stored(fact[name])]));
    this[table].rows.push({ ...values, position, device_id: device });
  }

  /** Returns the id of a device, whose rows begin here if no log has named it before. */
  device(located, tokenId) {
    const { id, begins } = this.identify("device", located.contracts.token, tokenId, located);
    if (begins) {
      this.device_version.start(id, { device_id: id, valid_from: id });
      this.device_activity.start(id, { device_id: id, valid_from: id, updated_at: located.blockTime });
    }
    return id;
  }

  /**
   * Returns the id of the device that a fact names by its address, null if no device has the address. Of several it is
   * that which got the address in the latest block, and in one block the younger one.
   */
  deviceAt({ contracts, fact }) {
    const address = addressText(fact.token_id);
    const holders = [...this.identities.device.values()]
      .filter(({ contract, id }) => contract === contracts.token && this.device_version.open.get(id).address === address)
      .map(({ id }) => ({ id, since: this.addressBlock(id) }))
      .sort((a, b) => compare(b.since, a.since) || compare(b.id, a.id));
    return holders[0]?.id ?? null;
  }

  /** Returns the block since which a device has its address. */
  addressBlock(id) {
    const history = this.device_version.rows.filter((row) => row.device_id === id);
    const { address } = history.at(-1);
    const other = history.findLastIndex((row) => row.address !== address);
    return history[other + 1].valid_from >> BLOCK_SHIFT;
  }

  /** Returns the id of a manufacturer, a hardware license, a vehicle, a synthetic device or a license token. */
  subject(identity, located, number) {
    const { id, begins } = this.identify(identity, located.contracts[identity], number, located);
    if (begins) this[`${identity}_version`].start(id, { [`${identity}_id`]: id, valid_from: id });
    return id;
  }

  identify(identity, contract, number, located) {
    const key = `${contract} ${number}`;
    const known = this.identities[identity].get(key);
    if (!known) this.identities[identity].set(key, { id: located.position, contract, number });
    return { id: known ? known.id : located.position, begins: !known };
  }
}
