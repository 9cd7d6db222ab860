// Changes of a device's row: attributes, firmware, tests, end of life. Each function edits the row in place.
import { ZERO_ADDRESS } from "./bytes.js";
import { EndOfLifeStatus, isKnown, Sanitization, saturate, Verdict } from "./codes.js";

const TEST_COLUMNS = { IN_CIRCUIT: "in_circuit_test", MECHANICAL: "mechanical_test", QUALITY: "quality_inspection" };

/** Weakest first. UNKNOWN outweighs NONE: a method with an unknown number may have been a real one. */
const STRENGTH = ["NONE", "UNKNOWN", "CLEAR", "PURGE", "DESTROY"].map((method) => Sanitization[method]);

/** The attributes that have a column of their own. An empty text clears the column. */
export const CORRECTIONS = {
  serialNumber: (version, value) => (version.serial_number = value || null),
  imei: setImei,
  devEUI: (version, value) => {
    version.dev_eui = value || null;
    judgeImei(version);
  },
  hardwareRevision: (version, value) => (version.hardware_revision = value || null),
  manufacturedAt: (version, value) => (version.manufactured_at = value ? saturate(BigInt(value)) : null),
};

export function setAddress(version, address) {
  version.address = address === ZERO_ADDRESS ? null : address;
}

export function setImei(version, value) {
  version.imei = value || null;
  judgeImei(version);
}

function judgeImei(version) {
  if (version.imei !== null) version.imei_valid = isImei(version.imei) ? Verdict.PASS : Verdict.FAIL;
  else version.imei_valid = version.dev_eui === null ? Verdict.UNKNOWN : Verdict.NOT_APPLICABLE;
}

/** Returns whether a text has 15 digits, of which the last is the Luhn digit. Spaces and hyphens are ignored. */
function isImei(text) {
  const digits = text.replace(/[ -]/g, "");
  if (!/^[0-9]{15}$/.test(digits)) return false;
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/** Returns whether a corrected date is unix seconds, or empty. */
export const isSeconds = (value) => /^(?:[0-9]{1,20})?$/.test(value);

export function setInitialFirmware(version, activity, value) {
  version.initial_firmware = value || null;
  if (activity.firmware_updated_at === null) activity.firmware = value || null;
}

export function recordTest(version, kind, verdict) {
  version[TEST_COLUMNS[kind]] = verdict;
  if (kind === "QUALITY" && version.provisioned_after_quality === Verdict.UNKNOWN) {
    version.provisioned_after_quality = Verdict.FAIL; // provisioned without an inspection; this first one is too late
  }
}

export function provision(version, provisionedAt) {
  if (version.provisioned_after_quality === Verdict.NOT_APPLICABLE) {
    version.provisioned_after_quality = version.quality_inspection;
  }
  version.provisioned_at = saturate(provisionedAt);
}

/** Records a step of the end of life. */
export function endService(version, position, process, happenedAt, facility, stated) {
  version.sanitization = strongest(version.sanitization, stated);
  if (movesOn(version, process)) {
    version.end_of_life_status = isKnown("EndOfLifeProcess", process) ? process : EndOfLifeStatus.UNKNOWN;
    version.end_of_life_position = position;
    version.end_of_life_at = saturate(happenedAt);
    version.facility = facility || null;
  }
  const firstDisposal = version.sanitized_before_disposal === Verdict.NOT_APPLICABLE;
  if (firstDisposal && version.end_of_life_status >= EndOfLifeStatus.RECYCLED) {
    version.sanitized_before_disposal = sanitizedVerdict(version.sanitization);
  }
}

/** Clears owner, claim, beneficiary and pairing. The device counts as DECOMMISSIONED, without a step. */
export function burn(version, position, blockTime) {
  version.owner = version.beneficiary = null;
  version.claimed_at = version.vehicle_id = version.paired_at = null;
  version.burn_position = position;
  if (version.end_of_life_status < EndOfLifeStatus.DECOMMISSIONED) {
    version.end_of_life_status = EndOfLifeStatus.DECOMMISSIONED;
    version.end_of_life_position = version.facility = null;
    version.end_of_life_at = blockTime;
  }
}

/** Sets the owner. A device that only a burn had decommissioned is in service again. */
export function own(version, owner) {
  version.owner = owner;
  if (version.end_of_life_status === EndOfLifeStatus.DECOMMISSIONED && version.end_of_life_position === null) {
    version.end_of_life_status = EndOfLifeStatus.IN_SERVICE;
    version.end_of_life_at = null;
  }
}

/** Returns whether a step sets the status: the furthest step does, an unknown one only if there is no other. */
function movesOn(version, process) {
  if (!isKnown("EndOfLifeProcess", process)) return version.end_of_life_status === EndOfLifeStatus.IN_SERVICE;
  if (process === version.end_of_life_status) return version.end_of_life_position === null;
  return process > version.end_of_life_status;
}

function strongest(soFar, stated) {
  if (stated === null) return soFar;
  const method = isKnown("Sanitization", stated) ? stated : Sanitization.UNKNOWN;
  if (soFar === null) return method;
  return STRENGTH[Math.max(STRENGTH.indexOf(soFar), STRENGTH.indexOf(method))];
}

function sanitizedVerdict(sanitization) {
  if (sanitization === null || sanitization === Sanitization.UNKNOWN) return Verdict.UNKNOWN;
  return sanitization === Sanitization.NONE ? Verdict.FAIL : Verdict.PASS;
}
