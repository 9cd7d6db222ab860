"""The tables of a DIMO network as of a position and a time, in the form of the simulated world."""

from typing import Any

from sqlalchemy import Connection, text

from schema.vocabulary import EndOfLifeStatus, LicenseStatus
from tests.support.dimo.world import World

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
    for row in connection.execute(text(GRANTS), at):
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


def stored_vehicles(connection: Connection, position: int) -> dict[int | None, str | None]:
    """Returns the owner of each vehicle by the tables."""
    return {_number(row.token_id): _hex(row.owner) for row in connection.execute(text(VEHICLES), {"p": position})}


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
    SELECT token_id, owner FROM vehicle JOIN vehicle_version AS version
    ON version.vehicle_id = vehicle.id AND {HOLDS.format("version")}
"""


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + bytes(value).hex()


def _number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(bytes(value), "big")
