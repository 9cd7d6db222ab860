// Vehicles and synthetic devices: mints, owners, definitions and attributes. Ownership comes from transfers alone.
import { ZERO_ADDRESS } from "./bytes.js";
import { AuthorizationEndReason } from "./codes.js";
import { authorize, endGrant, voidGrants } from "./grants.js";
import { holder } from "./licenses.js";

export function applyToVehicle(rows, policy, located) {
  const { fact, position } = located;
  const vehicle = rows.subject("vehicle", located, fact.vehicle_id);
  const version = () => rows.vehicle_version.change(vehicle, position);
  switch (fact.type) {
    case "VehicleMinted": {
      const minted = version();
      mint(minted, located);
      if (fact.manufacturer_id !== null) {
        minted.manufacturer_id = rows.subject("manufacturer", located, fact.manufacturer_id);
      }
      if (fact.definition_id !== null) minted.definition_id = fact.definition_id || null;
      break;
    }
    case "VehicleTransferred":
      voidGrants(rows, policy, located, "vehicle", vehicle, transfer(version(), located));
      break;
    case "VehicleAttributeSet":
      setAttribute(rows.vehicle_attribute, located, "vehicle_id", vehicle);
      break;
    case "VehicleDefinitionSet":
      version().definition_id = fact.definition_id || null;
      break;
    case "VehicleBurned":
      break; // the transfer to zero that comes with it burns the vehicle
  }
}

export function applyToSyntheticDevice(rows, policy, located) {
  const { fact, position } = located;
  const device = rows.subject("synthetic_device", located, fact.synthetic_device_id);
  const vehicle = fact.vehicle_id ? rows.subject("vehicle", located, fact.vehicle_id) : null;
  const version = () => rows.synthetic_device_version.change(device, position);
  switch (fact.type) {
    case "SyntheticDeviceMinted": {
      const minted = version();
      mint(minted, located);
      minted.vehicle_id = vehicle;
      minted.address = fact.address === null ? null : holder(fact.address);
      minted.connection_id = fact.connection_id;
      break;
    }
    case "SyntheticDeviceTransferred":
      voidGrants(rows, policy, located, "synthetic_device", device, transfer(version(), located));
      break;
    case "SyntheticDeviceAttributeSet":
      setAttribute(rows.synthetic_device_attribute, located, "synthetic_device_id", device);
      break;
    case "SyntheticDeviceBurned":
      break; // the transfer to zero that comes with it burns the synthetic device
  }
}

/** Applies a grant or a revocation on anything but a device. */
export function applyToSubject(rows, policy, located) {
  const { fact } = located;
  const [owner, id] = grantSubject(rows, located);
  if (fact.type === "AccessGranted") authorize(rows, policy.grants.get(fact.source), located, owner, id);
  else endGrant(rows, owner, id, located, AuthorizationEndReason.REVOKED);
}

function grantSubject(rows, located) {
  const { fact } = located;
  for (const kind of ["vehicle", "synthetic_device", "manufacturer"]) {
    const number = fact[`${kind}_id`];
    if (number !== null) return [`${kind}_id`, rows.subject(kind, located, number)];
  }
  return ["account_id", rows.identify("account", fact.grantor, 0n, located).id];
}

function mint(version, { position, blockTime }) {
  version.mint_position = position;
  version.minted_at = blockTime;
}

/** Changes the owner. Returns whether the transfer is the burn; a transfer from zero ends an earlier burn. */
function transfer(version, { fact, position, blockTime }) {
  const burns = fact.recipient === ZERO_ADDRESS;
  version.owner = holder(fact.recipient);
  version.burn_position = burns ? position : null;
  version.burned_at = burns ? blockTime : null;
  return burns;
}

function setAttribute(spans, { fact: { attribute, value }, position }, owner, id) {
  const key = `${id} ${attribute}`;
  if (spans.open.has(key)) spans.end(key, position);
  if (value) spans.start(key, { [owner]: id, valid_from: position, name: attribute, value });
}
