// What the facts mean: from located facts, in order, to rows and readings. `docs/how-it-works/meaning.md` states the
// rules; `indexer/fold/` is the same in Python.
import declarations from "./declarations.json" with { type: "json" };
import { ZERO_ADDRESS } from "./bytes.js";
import { AuthorizationEndReason, EndOfLifeStatus, Flag, isKnown, saturate, Verdict } from "./codes.js";
import * as devices from "./devices.js";
import { authorize, endGrant, expiry, voidGrants } from "./grants.js";
import * as licenses from "./licenses.js";
import { Rows } from "./rows.js";
import { applyToSubject, applyToSyntheticDevice, applyToVehicle } from "./vehicles.js";

const SUCCEEDED = 0n;
const OBSERVED = ["other", null];

/** Returns the rows, and of each fact the reading: { device, eventTime, bizStep, disposition, flags }. */
export function fold(facts, policy) {
  const rows = new Rows();
  const readings = facts.map((located) => apply(rows, policy, located));
  return { rows, readings };
}

function apply(rows, policy, located) {
  const { fact } = located;
  const reading = readingOf(fact, located.blockTime);
  if (declarations.facts[fact.type].aboutDevice) {
    applyToDevice(rows, policy, located, reading);
    return reading;
  }
  switch (fact.type) {
    case "ManufacturerLicensed":
      licenses.licenseManufacturer(rows, located, fact);
      break;
    case "ManufacturerLicenseRevoked": {
      const manufacturer = rows.subject("manufacturer", located, fact.manufacturer_id);
      licenses.revoke(rows.manufacturer_version.change(manufacturer, located.position), located, fact.reason);
      break;
    }
    case "HardwareLicensed":
      licenses.licenseHardware(rows, located, fact);
      break;
    case "HardwareLicenseRevoked": {
      const license = rows.subject("hardware_license", located, fact.hardware_license_id);
      licenses.revoke(rows.hardware_license_version.change(license, located.position), located, fact.reason);
      break;
    }
    case "ManufacturerMinted":
      licenses.mintManufacturer(rows, located, fact);
      break;
    case "ManufacturerTransferred":
      licenses.transferManufacturer(rows, policy, located, fact);
      break;
    case "ManufacturerAttributeSet":
      rows.subject("manufacturer", located, fact.manufacturer_id);
      break;
    case "LicenseMinted":
    case "LicenseTransferred":
    case "LicenseRevoked":
      licenses.applyToLicense(rows, located, fact);
      break;
    case "VehicleMinted":
    case "VehicleTransferred":
    case "VehicleBurned":
    case "VehicleAttributeSet":
    case "VehicleDefinitionSet":
      applyToVehicle(rows, policy, located);
      break;
    case "SyntheticDeviceMinted":
    case "SyntheticDeviceTransferred":
    case "SyntheticDeviceBurned":
    case "SyntheticDeviceAttributeSet":
      applyToSyntheticDevice(rows, policy, located);
      break;
    case "AccessGranted":
    case "AccessRevoked":
      applyToSubject(rows, policy, located);
      break;
    default:
      unknown(fact);
  }
  return reading;
}

/** Returns the reading that follows from the fact alone. */
function readingOf(fact, blockTime) {
  const { eventTime, fields } = declarations.facts[fact.type];
  const [bizStep, disposition] = wordsOf(fact);
  const happenedAt = eventTime && fact[eventTime];
  let flags = happenedAt !== null && happenedAt > blockTime ? Flag.TIME_IN_FUTURE : 0;
  for (const { name, codes } of fields) {
    if (codes && fact[name] !== null && !isKnown(codes, fact[name])) flags |= Flag.UNKNOWN_CODE;
  }
  return { device: null, eventTime: happenedAt === null ? null : saturate(happenedAt), bizStep, disposition, flags };
}

/** Returns business step and disposition of EPCIS 2.0, which some facts choose by a value. */
function wordsOf(fact) {
  switch (fact.type) {
    case "DeviceTransferred":
      return fact.recipient === ZERO_ADDRESS ? declarations.facts.DeviceBurned.words : OBSERVED;
    case "TestRecorded":
      return ["inspecting", fact.passed ? "conformant" : "non_conformant"];
    case "EndOfLifeRecorded":
      return declarations.endOfLifeWords[fact.process] ?? OBSERVED;
    case "DevicePaired":
      return fact.vehicle_id ? ["installing", "active"] : declarations.facts.DeviceUnpaired.words;
  }
  return declarations.facts[fact.type].words;
}

// Devices

function applyToDevice(rows, policy, located, reading) {
  const { fact, position, blockTime } = located;
  const device = located.contracts.byAddress ? rows.deviceAt(located) : rows.device(located, fact.token_id);
  if (device === null) {
    leaveUnknown(rows, located, reading);
    return;
  }
  reading.device = device;
  let flags = contradictions(fact, rows.device_version.open.get(device), policy, located.contracts.token);
  const activity = rows.device_activity.change(device, position);
  activity.updated_at = blockTime;
  if (flags & Flag.AFTER_END_OF_LIFE) activity.active_after_end_of_life = true;
  const version = () => rows.device_version.change(device, position);
  switch (fact.type) {
    case "FirmwareUpdated":
      updateFirmware(rows, located, device, activity);
      break;
    case "TestRecorded":
      rows.record("test_result", located, device);
      devices.recordTest(version(), fact.kind, fact.passed ? Verdict.PASS : Verdict.FAIL);
      break;
    case "DeviceTransferred":
      transfer(rows, policy, located, device);
      break;
    case "UserAuthorized":
      authorize(rows, policy.grants.get(fact.source), located, "device_id", device);
      break;
    case "DeviceMinted":
      if (mint(rows, policy, located, device, activity)) flags |= Flag.UNLICENSED;
      break;
    case "DeviceProvisioned":
      devices.provision(version(), fact.provisioned_at ?? blockTime);
      break;
    case "FactoryReset":
      reset(rows, located, device, activity);
      if (fact.address !== null) devices.setAddress(version(), fact.address);
      break;
    case "UserRevoked":
      endGrant(rows, "device_id", device, located, AuthorizationEndReason.REVOKED);
      break;
    case "DeviceClaimed": {
      const claimed = version();
      claimed.claimed_at = blockTime;
      if (policy.claimsProvision(located.contracts.token)) devices.provision(claimed, blockTime);
      break;
    }
    case "DeviceUnclaimed":
      version().claimed_at = null;
      break;
    case "DevicePaired":
      pair(version(), fact.vehicle_id ? rows.subject("vehicle", located, fact.vehicle_id) : null, blockTime);
      break;
    case "DeviceUnpaired":
      if (fact.vehicle_id) rows.subject("vehicle", located, fact.vehicle_id);
      pair(version(), null, blockTime);
      break;
    case "BeneficiarySet":
      version().beneficiary = fact.beneficiary === ZERO_ADDRESS ? null : fact.beneficiary;
      break;
    case "DeviceAttributeSet":
      setAttribute(rows, located, device);
      break;
    case "DeviceAddressReset":
      devices.setAddress(version(), fact.address);
      break;
    case "EndOfLifeRecorded":
      recordEndOfLife(rows, located, device);
      break;
    case "DeviceBurned":
      break; // the transfer to zero that comes with it burns the device
    default:
      unknown(fact);
  }
  reading.flags |= flags;
}

/** Reads a fact that names its device by an address that no device has. It changes no device. */
function leaveUnknown(rows, located, reading) {
  const { fact } = located;
  reading.flags |= Flag.UNKNOWN_DEVICE;
  if (["DevicePaired", "DeviceUnpaired"].includes(fact.type) && fact.vehicle_id) rows.subject("vehicle", located, fact.vehicle_id);
}

function mint(rows, policy, located, device, activity) {
  const { fact, position } = located;
  const version = rows.device_version.change(device, position);
  version.mint_position = position;
  version.minted_at = located.blockTime;
  if (fact.address !== null) {
    devices.setAddress(version, fact.address);
    succeed(rows, located, device, version);
  }
  if (fact.serial_number !== null) version.serial_number = fact.serial_number || null;
  if (fact.imei !== null) devices.setImei(version, fact.imei);
  if (fact.manufactured_at !== null) version.manufactured_at = saturate(fact.manufactured_at);
  if (fact.firmware_version !== null) devices.setInitialFirmware(version, activity, fact.firmware_version);
  return licenses.judgeLicenses(rows, policy, located, fact, version);
}

function transfer(rows, policy, located, device) {
  const { fact, position, blockTime } = located;
  rows.record("transfer", located, device);
  const version = rows.device_version.change(device, position);
  const burns = fact.recipient === ZERO_ADDRESS;
  if (burns) {
    leave(rows, located, device, version);
    devices.burn(version, position, blockTime);
  } else {
    devices.own(version, fact.recipient);
  }
  voidGrants(rows, policy, located, "device", device, burns);
}

/** Remembers a burned device for a mint in the same transaction that takes over its address. */
function leave(rows, located, device, version) {
  if (version.address === null) return;
  rows.burned.set(`${located.contracts.token} ${version.address}`, { device, transaction: located.transaction });
}

/** Links a minted device to the one whose address it takes over. */
function succeed(rows, located, device, version) {
  const burned = rows.burned.get(`${located.contracts.token} ${version.address}`);
  if (burned && burned.transaction === located.transaction && burned.device !== device) {
    version.predecessor_id = burned.device;
  }
}

function setAttribute(rows, located, device) {
  const { attribute, value } = located.fact;
  const correct = Object.hasOwn(devices.CORRECTIONS, attribute) ? devices.CORRECTIONS[attribute] : null;
  if (correct && (attribute !== "manufacturedAt" || devices.isSeconds(value))) {
    correct(rows.device_version.change(device, located.position), value);
    return;
  }
  const key = `${device} ${attribute}`;
  if (rows.device_attribute.open.has(key)) rows.device_attribute.end(key, located.position);
  if (value) {
    rows.device_attribute.start(key, { device_id: device, valid_from: located.position, name: attribute, value });
  }
}

function reset(rows, located, device, activity) {
  rows.record("factory_reset", located, device);
  activity.factory_reset_count += 1n;
}

function updateFirmware(rows, located, device, activity) {
  const { fact, blockTime } = located;
  rows.record("firmware_update", located, device);
  if (fact.result === null || fact.result === SUCCEEDED) {
    activity.firmware = fact.to_version || null;
    activity.firmware_image_hash = fact.image_hash;
    activity.firmware_updated_at = blockTime;
  }
}

function recordEndOfLife(rows, located, device) {
  const { fact, position, blockTime } = located;
  rows.record("end_of_life_step", located, device);
  const version = rows.device_version.change(device, position);
  const happenedAt = fact.occurred_at ?? blockTime;
  devices.endService(version, position, fact.process, happenedAt, fact.facility, fact.sanitization);
}

/** Records a pairing; one without a vehicle ends the pairing before it. */
function pair(version, vehicle, blockTime) {
  version.vehicle_id = vehicle;
  version.paired_at = vehicle === null ? null : blockTime;
}

// Contradictions

const ENDS_WITH_SERVICE = [
  "DeviceProvisioned",
  "FirmwareUpdated",
  "TestRecorded",
  "UserAuthorized",
  "DeviceAddressReset",
  "DeviceClaimed",
  "DevicePaired",
];

/** Returns AFTER_END_OF_LIFE, BEFORE_MINT, DUPLICATE_MINT and WRONG_SENDER as they apply; `before` is the row. */
function contradictions(fact, before, policy, contract) {
  let flags = 0;
  if (isAfterEndOfLife(fact, before.end_of_life_status, policy)) flags |= Flag.AFTER_END_OF_LIFE;
  if (!exists(before) && !begins(fact) && policy.mintsAreWhole(contract)) flags |= Flag.BEFORE_MINT;
  if (fact.type === "DeviceMinted" && isMinted(before)) flags |= Flag.DUPLICATE_MINT;
  if (fact.type === "DeviceTransferred" && isFromAnother(fact, before)) flags |= Flag.WRONG_SENDER;
  return flags;
}

const exists = (before) => before.mint_position !== null || before.owner !== null || before.burn_position !== null;
const begins = ({ type, sender }) =>
  type === "DeviceMinted" || (type === "DeviceTransferred" && sender === ZERO_ADDRESS);
const isMinted = (before) =>
  before.mint_position !== null && (before.burn_position ?? 0n) < before.mint_position;

function isFromAnother(fact, before) {
  if (before.owner !== null) return fact.sender !== before.owner;
  return before.burn_position !== null && fact.sender !== ZERO_ADDRESS;
}

function isAfterEndOfLife(fact, status, policy) {
  if (status === EndOfLifeStatus.IN_SERVICE) return false;
  if (status === EndOfLifeStatus.DISPOSED) {
    return !["UserRevoked", "DeviceAttributeSet"].includes(fact.type) && !ends(fact, policy);
  }
  if (fact.type === "EndOfLifeRecorded") return isKnown("EndOfLifeProcess", fact.process) && fact.process < status;
  return ENDS_WITH_SERVICE.includes(fact.type) && !ends(fact, policy);
}

/** Returns whether a grant or a pairing only ends the one before it. */
function ends(fact, policy) {
  if (fact.type === "UserAuthorized") return expiry(policy.grants.get(fact.source), fact) === null;
  return fact.type === "DevicePaired" && !fact.vehicle_id;
}

function unknown(fact) {
  throw new Error(`no rule folds ${fact.type}`);
}
