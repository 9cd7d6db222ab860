// Licenses by number, and licenses and manufacturers that are tokens.
import { ZERO_ADDRESS } from "./bytes.js";
import { LicenseStatus, OPEN, saturate, Verdict } from "./codes.js";

const NOT_LICENSED = [LicenseStatus.NONE, LicenseStatus.REVOKED, LicenseStatus.EXPIRED];

// Licenses that a registrar grants by number

export function licenseManufacturer(rows, located, fact) {
  const manufacturer = rows.subject("manufacturer", located, fact.manufacturer_id);
  const version = rows.manufacturer_version.change(manufacturer, located.position);
  if (fact.account !== null) version.account = holder(fact.account);
  if (fact.name !== null) version.name = fact.name || null;
  grant(version, located, fact);
}

export function licenseHardware(rows, located, fact) {
  const license = rows.subject("hardware_license", located, fact.hardware_license_id);
  const maker = fact.manufacturer_id === null ? null : rows.subject("manufacturer", located, fact.manufacturer_id);
  const version = rows.hardware_license_version.change(license, located.position);
  if (maker !== null) version.manufacturer_id = maker;
  if (fact.model !== null) version.model = fact.model || null;
  if (fact.hardware_revision !== null) version.hardware_revision = fact.hardware_revision || null;
  grant(version, located, fact);
}

/** Grants or renews a license: a grant clears an earlier revocation. An expiry of zero means never. */
function grant(version, { position, blockTime }, fact) {
  version.license_uri = fact.license_uri || null;
  version.license_hash = fact.license_hash;
  version.grant_position = position;
  version.granted_at = blockTime;
  version.expires_at = fact.expires_at ? saturate(fact.expires_at) : OPEN;
  version.revocation_position = version.revoked_at = version.revocation_reason = null;
}

export function revoke(version, { position, blockTime }, reason) {
  version.revocation_position = position;
  version.revoked_at = blockTime;
  version.revocation_reason = reason || null;
}

/** Records the licenses at a mint, by the facts before it. Returns whether the mint was unlicensed. */
export function judgeLicenses(rows, policy, located, fact, version) {
  let status = LicenseStatus.UNKNOWN;
  let hardwareStatus = LicenseStatus.UNKNOWN;
  let verdict = Verdict.UNKNOWN;
  let maker = null;
  const { contracts, blockTime } = located;
  if (fact.manufacturer_id !== null) {
    maker = version.manufacturer_id = rows.subject("manufacturer", located, fact.manufacturer_id);
    const whole = policy.manufacturerLicensesAreWhole(contracts.manufacturer);
    status = statusOf(rows.manufacturer_version.open.get(maker), blockTime, whole);
  }
  if (fact.hardware_license_id !== null) {
    version.hardware_license_id = rows.subject("hardware_license", located, fact.hardware_license_id);
    const held = rows.hardware_license_version.open.get(version.hardware_license_id);
    hardwareStatus = statusOf(held, blockTime, policy.hardwareLicensesAreWhole(contracts.hardware_license));
    verdict = hardwareVerdict(hardwareStatus, held.manufacturer_id, maker);
  }
  version.manufacturer_license_at_mint = status;
  version.hardware_license_at_mint = hardwareStatus;
  version.hardware_licensed_at_mint = verdict;
  return NOT_LICENSED.includes(status) || verdict === Verdict.FAIL;
}

function statusOf(version, clock, historyIsWhole) {
  const granted = version.grant_position !== null;
  if (version.revocation_position !== null) return LicenseStatus.REVOKED;
  if (granted && version.expires_at <= clock) return LicenseStatus.EXPIRED;
  if (!historyIsWhole) return LicenseStatus.UNKNOWN;
  return granted ? LicenseStatus.VALID : LicenseStatus.NONE;
}

function hardwareVerdict(status, held, maker) {
  if (NOT_LICENSED.includes(status)) return Verdict.FAIL;
  if (held === null || maker === null) return Verdict.UNKNOWN;
  if (held !== maker) return Verdict.FAIL;
  return status === LicenseStatus.VALID ? Verdict.PASS : Verdict.UNKNOWN;
}

// Licenses and manufacturers that are tokens

export function mintManufacturer(rows, located, fact) {
  const manufacturer = rows.subject("manufacturer", located, fact.manufacturer_id);
  if (fact.name !== null) rows.manufacturer_version.change(manufacturer, located.position).name = fact.name || null;
}

export function transferManufacturer(rows, policy, located, fact) {
  const manufacturer = rows.subject("manufacturer", located, fact.manufacturer_id);
  rows.manufacturer_version.change(manufacturer, located.position).account = holder(fact.recipient);
  if (policy.licensedByTokens) licenseByToken(rows, located, manufacturer);
}

/** Applies a fact about a license token to it, and to the manufacturers whose owner holds it or held it before. */
export function applyToLicense(rows, located, fact) {
  const license = rows.subject("license", located, fact.license_id);
  const version = rows.license_version.change(license, located.position);
  const accounts = [version.holder];
  if (fact.type === "LicenseMinted") {
    version.holder = holder(fact.account);
    grantToken(version, located);
  } else if (fact.type === "LicenseRevoked") {
    revokeToken(version, located);
  } else {
    if (fact.sender === ZERO_ADDRESS) grantToken(version, located);
    if (fact.recipient !== ZERO_ADDRESS) version.holder = fact.recipient;
    else if (version.revocation_position === null) revokeToken(version, located); // a burn takes it from its holder
  }
  accounts.push(version.holder);
  for (const [manufacturer, held] of [...rows.manufacturer_version.open]) {
    if (held.account && accounts.includes(held.account)) licenseByToken(rows, located, manufacturer);
  }
}

/** Gives the manufacturer its owner's license: the newest in force, else the newest revoked one. */
function licenseByToken(rows, located, manufacturer) {
  const version = rows.manufacturer_version.change(manufacturer, located.position);
  const held = [...rows.license_version.open.values()].filter((row) => row.holder && row.holder === version.account);
  const best = held.reduce((first, second) => (first && !isWorthMore(second, first) ? first : second), null);
  for (const name of ["grant_position", "granted_at", "revocation_position", "revoked_at"]) {
    version[name] = best && best[name];
  }
}

function isWorthMore(license, other) {
  const [inForce, otherInForce] = [license, other].map((row) => row.revocation_position === null);
  if (inForce !== otherInForce) return inForce;
  return (license.grant_position || license.license_id) > (other.grant_position || other.license_id);
}

function grantToken(version, { position, blockTime }) {
  version.grant_position = position;
  version.granted_at = blockTime;
  version.revocation_position = version.revoked_at = null;
}

function revokeToken(version, { position, blockTime }) {
  version.revocation_position = position;
  version.revoked_at = blockTime;
}

export const holder = (account) => (account === ZERO_ADDRESS ? null : account);
