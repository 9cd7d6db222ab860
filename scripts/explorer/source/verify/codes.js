// The codes of the vocabulary, as BigInts like every number of a fact or a row.
import declarations from "./declarations.json" with { type: "json" };

export const OPEN = 2n ** 63n - 1n; // the end of an open row, and of a grant that never expires

const enumerations = Object.fromEntries(
  Object.entries(declarations.enumerations).map(([name, numbers]) => [
    name,
    Object.fromEntries(Object.entries(numbers).map(([member, number]) => [member, BigInt(number)])),
  ]),
);

export const { AuthorizationEndReason, EndOfLifeStatus, LicenseStatus, Sanitization, Verdict } = enumerations;
export const { flags: Flag } = declarations;

/** Returns whether an enumeration lists a contract's number. -1 is never listed: it is the number of UNKNOWN. */
export function isKnown(codes, number) {
  return number >= 0n && Object.values(enumerations[codes]).includes(number);
}

/** Returns the member with a number, undefined if there is none. */
export function memberOf(codes, number) {
  return Object.keys(enumerations[codes]).find((member) => enumerations[codes][member] === number);
}

/** Returns the number, or the largest that is stored if it is larger. */
export const saturate = (number) => (number < OPEN ? number : OPEN);
