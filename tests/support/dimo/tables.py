"""The tables of a DIMO network as of a position and a time, in the form of the simulated world."""

from typing import Any

from sqlalchemy import Connection, text

from schema.vocabulary import EndOfLifeStatus, LicenseStatus
from tests.support.dimo.world import Granting, World

Facts = dict[Any, dict[str, Any]]


def expected_devices(world: World, clock: int) -> Facts:
    """Returns the expected state of each device from the simulated world."""
    return {
        unit.token: {
            "owner": unit.owner,
            "address": unit.address,
            "addresses": unit.addresses,
            "serial": unit.serial,
            "imei": unit.imei,
            "dev_eui": unit.dev_eui,
            "revision": unit.revision,
            "attributes": unit.attributes,
            "manufacturer": unit.manufacturer,
            "license_at_mint": unit.license_at_mint,
            "minted_at": unit.minted_at,
            "claimed_at": unit.claimed_at,
            "provisioned_at": unit.provisioned_at,
            "beneficiary": unit.beneficiary,
            "vehicle": unit.vehicle,
            "paired_at": unit.paired_at,
            "end_of_life": "IN_SERVICE" if unit.burned_at is None else "DECOMMISSIONED",
            "ended_at": unit.burned_at,
            "resets": unit.resets,
            "predecessor": unit.predecessor,
            "grants": unit.grants(clock),
        }
        for unit in world.units.values()
    }


def expected_makers(world: World) -> Facts:
    """Returns the expected name, owner and license of each manufacturer."""
    return {
        maker.number: {"name": maker.name, "owner": maker.owner, "license": world.license_of(maker)}
        for maker in world.makers.values()
    }


def expected_vehicles(world: World, clock: int) -> Facts:
    """Returns the expected state of each vehicle from the simulated world."""
    vehicles: Facts = {}
    for vehicle in world.vehicles.values():
        unit, device = world.paired(vehicle.token), world.connected(vehicle.token)
        vehicles[vehicle.token] = {
            "owner": vehicle.owner,
            "manufacturer": vehicle.manufacturer,
            "definition": vehicle.definition,
            "minted_at": vehicle.minted_at,
            "burned_at": vehicle.burned_at,
            "attributes": vehicle.attributes,
            "device": unit and unit.token,
            "synthetic": device and device.token,
            "grants": vehicle.grants(clock),
        }
    return vehicles


def expected_synthetics(world: World, clock: int) -> Facts:
    """Returns the expected state of each synthetic device from the simulated world."""
    return {
        device.token: {
            "owner": device.owner,
            "address": device.address,
            "vehicle": device.vehicle,
            "connection": device.connection,
            "minted_at": device.minted_at,
            "burned_at": device.burned_at,
            "attributes": device.attributes,
            "grants": device.grants(clock),
        }
        for device in world.synthetics.values()
    }


def expected_grants(world: World, clock: int) -> dict[Any, Any]:
    """Returns the expected grants on manufacturers, by their numbers, and of accounts, by their addresses."""
    subjects: dict[Any, Granting] = {**world.makers, **world.accounts}
    return {subject: grants for subject, granting in subjects.items() if (grants := granting.grants(clock))}


def stored_devices(connection: Connection, position: int, clock: int) -> Facts:
    """Returns the state of each device from the tables."""
    at = {"p": position, "clock": clock}
    devices = {
        row["id"]: {
            "token": _number(row["token_id"]),
            "owner": _hex(row["owner"]),
            "address": _hex(row["address"]),
            "addresses": [],
            "serial": row["serial_number"],
            "imei": row["imei"],
            "dev_eui": row["dev_eui"],
            "revision": row["hardware_revision"],
            "attributes": {},
            "manufacturer": _number(row["manufacturer"]),
            "license_at_mint": LicenseStatus(row["manufacturer_license_at_mint"]).name,
            "minted_at": row["minted_at"],
            "claimed_at": row["claimed_at"],
            "provisioned_at": row["provisioned_at"],
            "beneficiary": _hex(row["beneficiary"]),
            "vehicle": _number(row["vehicle"]),
            "paired_at": row["paired_at"],
            "end_of_life": EndOfLifeStatus(row["end_of_life_status"]).name,
            "ended_at": row["end_of_life_at"],
            "resets": row["factory_reset_count"],
            "predecessor": _number(row["predecessor"]),
            "grants": {},
        }
        for row in connection.execute(text(DEVICES), at).mappings()
    }
    for row in connection.execute(text(ADDRESSES), at):
        addresses, address = devices[row.device_id]["addresses"], _hex(row.address)
        if address is not None and (not addresses or addresses[-1] != address):
            addresses.append(address)
    for row in connection.execute(text(ATTRIBUTES), at):
        devices[row.device_id]["attributes"][row.name] = row.value
    for row in connection.execute(text(f"{GRANTS} AND device_id <> 0"), at):
        devices[row.device_id]["grants"][_hex(row.user_address), row.source, row.scope] = _number(row.permissions)
    return {device.pop("token"): device for device in devices.values()}


def stored_makers(connection: Connection, position: int) -> Facts:
    """Returns name, owner and license of each manufacturer from the tables."""
    return {
        _number(row.token_id): {
            "name": row.name,
            "owner": _hex(row.account),
            "license": "NONE"
            if row.grant_position is None
            else ("VALID" if row.revocation_position is None else "REVOKED"),
        }
        for row in connection.execute(text(MAKERS), {"p": position})
    }


def stored_vehicles(connection: Connection, position: int, clock: int) -> Facts:
    """Returns the state of each vehicle from the tables."""
    at = {"p": position, "clock": clock}
    vehicles = {
        row["id"]: {
            "token": _number(row["token_id"]),
            "owner": _hex(row["owner"]),
            "manufacturer": _number(row["manufacturer"]),
            "definition": row["definition_id"],
            "minted_at": row["minted_at"],
            "burned_at": row["burned_at"],
            "attributes": {},
            "device": _number(row["device"]),
            "synthetic": _number(row["synthetic"]),
            "grants": {},
        }
        for row in connection.execute(text(VEHICLES), at).mappings()
    }
    _add_attributes(connection, "vehicle", at, vehicles)
    return _with_grants(connection, "vehicle_id", at, vehicles)


def stored_synthetics(connection: Connection, position: int, clock: int) -> Facts:
    """Returns the state of each synthetic device from the tables."""
    at = {"p": position, "clock": clock}
    devices = {
        row["id"]: {
            "token": _number(row["token_id"]),
            "owner": _hex(row["owner"]),
            "address": _hex(row["address"]),
            "vehicle": _number(row["vehicle"]),
            "connection": _number(row["connection_id"]),
            "minted_at": row["minted_at"],
            "burned_at": row["burned_at"],
            "attributes": {},
            "grants": {},
        }
        for row in connection.execute(text(SYNTHETICS), at).mappings()
    }
    _add_attributes(connection, "synthetic_device", at, devices)
    return _with_grants(connection, "synthetic_device_id", at, devices)


def stored_grants(connection: Connection, position: int, clock: int) -> Facts:
    """Returns the grants on manufacturers, by their numbers, and of accounts, by their addresses, from the tables."""
    at = {"p": position, "clock": clock}
    makers = connection.execute(text("SELECT id, token_id FROM manufacturer WHERE id <= :p"), at)
    accounts = connection.execute(text("SELECT id, contract FROM account WHERE id <= :p"), at)
    rows: Facts = {row.id: {"token": _number(row.token_id), "grants": {}} for row in makers}
    by_maker = _with_grants(connection, "manufacturer_id", at, rows)
    rows = {row.id: {"token": _hex(row.contract), "grants": {}} for row in accounts}
    by_account = _with_grants(connection, "account_id", at, rows)
    return {subject: row["grants"] for subject, row in {**by_maker, **by_account}.items() if row["grants"]}


def _add_attributes(connection: Connection, owner: str, at: dict[str, int], tokens: Facts) -> None:
    query = f"SELECT {owner}_id AS id, name, value FROM {owner}_attribute AS held WHERE {HOLDS.format('held')}"
    for row in connection.execute(text(query), at):
        tokens[row.id]["attributes"][row.name] = row.value


def _with_grants(connection: Connection, owner: str, at: dict[str, int], subjects: Facts) -> Facts:
    """Adds the grants to the subjects, and returns these by their tokens."""
    query = f"{GRANTS} AND {owner} IS NOT NULL".replace("SELECT device_id", f"SELECT {owner} AS id", 1)
    for row in connection.execute(text(query), at):
        subjects[row.id]["grants"][_hex(row.user_address), row.source, row.scope] = _number(row.permissions)
    return {subject.pop("token"): subject for subject in subjects.values()}


HOLDS = "{0}.valid_from <= :p AND {0}.valid_to > :p"
DEVICES = f"""
    SELECT device.*, version.*, factory_reset_count, manufacturer.token_id AS manufacturer,
        vehicle.token_id AS vehicle, predecessor.token_id AS predecessor
    FROM device
    JOIN device_version AS version ON version.device_id = device.id AND {HOLDS.format("version")}
    JOIN device_activity AS activity ON activity.device_id = device.id AND {HOLDS.format("activity")}
    LEFT JOIN manufacturer ON manufacturer.id = version.manufacturer_id
    LEFT JOIN vehicle ON vehicle.id = version.vehicle_id
    LEFT JOIN device AS predecessor ON predecessor.id = version.predecessor_id
"""
ADDRESSES = """
    SELECT device_id, address FROM device_version WHERE valid_from <= :p ORDER BY device_id, valid_from
"""
ATTRIBUTES = f"SELECT device_id, name, value FROM device_attribute WHERE {HOLDS.format('device_attribute')}"
GRANTS = f"""
    SELECT device_id, user_address, source, scope, permissions FROM "authorization" AS held
    WHERE {HOLDS.format("held")} AND expires_at > :clock
"""
MAKERS = f"""
    SELECT token_id, name, account, grant_position, revocation_position
    FROM manufacturer JOIN manufacturer_version AS version
    ON version.manufacturer_id = manufacturer.id AND {HOLDS.format("version")}
"""
VEHICLES = f"""
    SELECT vehicle.id, vehicle.token_id, version.*, manufacturer.token_id AS manufacturer,
        device.token_id AS device, synthetic_device.token_id AS synthetic
    FROM vehicle JOIN vehicle_version AS version
        ON version.vehicle_id = vehicle.id AND {HOLDS.format("version")}
    LEFT JOIN manufacturer ON manufacturer.id = version.manufacturer_id
    LEFT JOIN device_version AS paired ON paired.vehicle_id = vehicle.id AND {HOLDS.format("paired")}
    LEFT JOIN device ON device.id = paired.device_id
    LEFT JOIN synthetic_device_version AS connected ON connected.vehicle_id = vehicle.id
        AND {HOLDS.format("connected")} AND connected.burn_position IS NULL
    LEFT JOIN synthetic_device ON synthetic_device.id = connected.synthetic_device_id
"""
SYNTHETICS = f"""
    SELECT synthetic_device.id, synthetic_device.token_id, version.*, vehicle.token_id AS vehicle
    FROM synthetic_device JOIN synthetic_device_version AS version
        ON version.synthetic_device_id = synthetic_device.id AND {HOLDS.format("version")}
    LEFT JOIN vehicle ON vehicle.id = version.vehicle_id
"""


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + bytes(value).hex()


def _number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(bytes(value), "big")
