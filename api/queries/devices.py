"""Devices: one row each, as it stands at a point, and what lists of them may be asked."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, or_, select, union_all

from api.queries.sql import tables
from api.queries.sql.filters import (
    UINT256_MAX,
    Computed,
    Condition,
    Exact,
    Fields,
    Filter,
    Moment,
    Number,
    Related,
    Text,
    Version,
    matches,
    seconds_down,
    seconds_up,
)
from api.queries.sql.keys import Key, key_rows, lists_by_place, rows_by_key
from api.queries.sql.ordered_joins import Steps
from api.queries.sql.pages import Listing, Order, Part, always, by_text, by_time, select_ids
from api.queries.sql.scope import Scope, first_position_from, scope_of
from schema.did import TokenDid, parse_did
from schema.events import Kind
from schema.tables.values import clean_text
from schema.vocabulary import EndOfLifeStatus, LicenseStatus, Verdict, imei_key

device = tables.device
version = tables.device_version
activity = tables.device_activity
grant = tables.authorization

_IDENTITY = (device.c.chain_id, device.c.id, device.c.contract, device.c.token_id)
_SPAN = ("chain_id", "device_id", "valid_from", "valid_to")


def select_devices(scope: Scope) -> Select[Any]:
    """Returns the SELECT of all that is told of a device, at the scope of each key; without saying which devices."""
    return select(
        *_IDENTITY,
        *(column for column in version.c if column.name not in _SPAN and not column.name.endswith("_key")),
        *(column for column in activity.c if column.name not in _SPAN and column.name != "firmware_key"),
    ).select_from(
        Steps(scope.keys, device, device.c.chain_id == scope.chain_id)
        .step(version, and_(version.c.device_id == device.c.id, scope.holds(version)))
        .step(activity, and_(activity.c.device_id == device.c.id, scope.holds(activity)))
    )


def devices(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns the device of each key, None where there is none at its point."""
    return rows_by_key(connection, _devices, keys)


def _devices(scope: Scope) -> Select[Any]:
    return select_devices(scope).where(device.c.id == scope.id)


def successors(connection: Connection, keys: Sequence[Key]) -> list[Row[Any] | None]:
    """Returns (device_id) of the device that took over the address of each key's burned one, None where none did."""
    return rows_by_key(connection, _successors, keys)


def _successors(scope: Scope) -> Select[Any]:
    succeeds = and_(version.c.predecessor_id == scope.id, scope.holds(version))
    return select(version.c.device_id).select_from(Steps(scope.keys, version, succeeds))


MOST = 100
"""How many addresses and attributes of one device are told."""


def addresses(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (address, since, until) of every address that a device had, newest first; `until` None while held."""
    scope = scope_of(key_rows(connection, keys))
    before = func.lag(version.c.address).over(partition_by=scope.keys.c.place, order_by=version.c.valid_from)
    versions = (
        select(scope.keys.c.place, version.c.address, version.c.valid_from, before.label("before"))
        .select_from(Steps(scope.keys, version, and_(version.c.device_id == scope.id, scope.began(version))))
        .subquery("versions")
    )
    # what ends one address begins the next, or none
    changes = (
        select(
            versions.c.place,
            versions.c.address,
            versions.c.valid_from.label("since"),
            func.lead(versions.c.valid_from)
            .over(partition_by=versions.c.place, order_by=versions.c.valid_from)
            .label("until"),
        )
        .where(versions.c.address.is_distinct_from(versions.c.before))
        .subquery("changes")
    )
    held = changes.c.address.is_not(None)
    rank = func.row_number().over(partition_by=changes.c.place, order_by=changes.c.since.desc()).label("rank")
    ranked = select(*changes.c, rank).where(held).subquery("ranked")
    query = select(ranked).where(ranked.c.rank <= MOST).order_by(ranked.c.place, ranked.c.rank)
    return lists_by_place(connection, query, len(keys))


def attributes(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (name, value) of the free attributes of each device, by name."""
    scope = scope_of(key_rows(connection, keys))
    attribute = tables.device_attribute
    columns = attribute.c
    rank = func.row_number().over(partition_by=scope.keys.c.place, order_by=(columns.name_key, columns.valid_from))
    ranked = (
        select(scope.keys.c.place, columns.name, columns.value, rank.label("rank"))
        .select_from(Steps(scope.keys, attribute, and_(columns.device_id == scope.id, scope.holds(attribute))))
        .subquery("ranked")
    )
    query = select(ranked).where(ranked.c.rank <= MOST).order_by(ranked.c.place, ranked.c.rank)
    return lists_by_place(connection, query, len(keys))


# What a reader may ask of devices


def devices_fitting(scope: Scope, filter: Filter) -> Select[Any]:
    """Returns the ids of the devices of the scope's chain that fit a filter at the scope."""
    return select_ids(DEVICES, scope, filter).correlate(scope.keys)


def _addresses(scope: Scope) -> Select[Any]:
    return select(EARLIER.c.device_id).where(scope.began(EARLIER))


EARLIER = version.alias("earlier")


def _mint_transactions(scope: Scope, wishes: Filter) -> Condition:
    minted = tables.event.c
    positions = select(minted.position).where(
        minted.chain_id == scope.chain_id,
        minted.kind == Kind.DEVICE_MINTED,
        Exact(minted.transaction_hash).meets(scope, wishes),
    )
    devices = positions.with_only_columns(minted.device_id)
    # the second says which devices to look at, by an index; the first which of them
    return and_(
        version.c.mint_position.in_(positions.correlate(scope.keys)),
        version.c.device_id.in_(devices.correlate(scope.keys)),
    )


def _resets_since(scope: Scope, wishes: Filter) -> Condition:
    wish = dict(wishes)
    reset = tables.factory_reset
    count = (
        select(func.count())
        .select_from(reset)
        .where(
            reset.c.chain_id == scope.chain_id,
            reset.c.device_id == version.c.device_id,
            reset.c.position >= first_position_from(scope, seconds_up(wish["since"])),
            reset.c.position <= scope.position,
        )
        .correlate(scope.keys, version)
        .scalar_subquery()
    )
    # names the table outside of the subquery, so that it is walked
    return and_(version.c.device_id.is_not(None), Number(count).meets(scope, wish["count"]))


def _authorized(scope: Scope, wishes: Filter) -> Condition:
    wish = dict(wishes)
    instant = wish.get("active_at")
    then = scope.active_at(None if instant is None else seconds_down(instant))
    asked = tuple((name, value) for name, value in wishes if name != "active_at")
    grants = select(grant.c.device_id).where(in_force(then), matches(then, asked, GRANTEE_FIELDS))
    return version.c.device_id.in_(grants.correlate(scope.keys))


def in_force(scope: Scope) -> Condition:
    """The grant is open at the position and not expired by the clock."""
    return and_(scope.holds(grant), grant.c.expires_at > scope.clock)


GRANTEE_FIELDS: Fields = {
    "user": Exact(grant.c.user_address),
    "organization": Text(grant.c.organization, grant.c.organization_key),
}


def _firmware(scope: Scope, wishes: Filter) -> Condition:
    return matches(scope, wishes, FIRMWARE_FIELDS)


FIRMWARE_FIELDS: Fields = {
    "version": Version(activity.c.firmware, activity.c.firmware_key, order=activity.c.firmware_version_key),
    "image_hash": Exact(activity.c.firmware_image_hash),
}


def _without_separators(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.replace(func.replace(text, " ", ""), "-", "")


def _imei_key(text: str) -> str:
    return imei_key(clean_text(text))


IMEI = Text(_without_separators(version.c.imei), version.c.imei_key, clean=_imei_key)
DEV_EUI = Text(version.c.dev_eui, version.c.dev_eui_key)
SERIAL_NUMBER = Text(version.c.serial_number, version.c.serial_number_key)
ADDRESS = Exact(version.c.address)
TOKEN_ID = Number(device.c.token_id, most=UINT256_MAX)


def _manufacturers(scope: Scope) -> Select[Any]:
    return select(tables.manufacturer.c.id).where(tables.manufacturer.c.chain_id == scope.chain_id)


def _hardware_licenses(scope: Scope) -> Select[Any]:
    return select(tables.hardware_license.c.id).where(tables.hardware_license.c.chain_id == scope.chain_id)


MANUFACTURER_ID = Related(
    version.c.manufacturer_id, _manufacturers, Number(tables.manufacturer.c.token_id, most=UINT256_MAX)
)


def _vehicles(scope: Scope) -> Select[Any]:
    return select(tables.vehicle.c.id).where(tables.vehicle.c.chain_id == scope.chain_id)


def _any_key(scope: Scope, text: str) -> Condition:
    """The text is one of the device's keys, whichever it is."""
    keys = [_versions(scope, field.equals(text)) for field in (SERIAL_NUMBER, IMEI, DEV_EUI)]
    if DECIMAL.fullmatch(text):
        keys.append(_tokens(scope, TOKEN_ID.equals(int(text))))
    elif ADDRESS_TEXT.fullmatch(text):
        keys.append(_addresses(scope).where(EARLIER.c.address == bytes.fromhex(text[2:])))
    elif did := parse_did(text):
        keys.append(_tokens(scope, matches(scope, did_filter(did), FIELDS)))
    return version.c.device_id.in_(union_all(*(key.correlate(scope.keys) for key in keys)))


def _versions(scope: Scope, condition: Condition) -> Select[Any]:
    return select(version.c.device_id).where(scope.holds(version), condition)


def _tokens(scope: Scope, condition: Condition) -> Select[Any]:
    return select(device.c.id).where(device.c.chain_id == scope.chain_id, condition)


def did_filter(did: TokenDid) -> Filter:
    """Returns the filter that the token of a DID alone passes."""
    return tuple((name, (("eq", value),)) for name, value in did._asdict().items())


DECIMAL = re.compile("[0-9]{1,78}", re.ASCII)
ADDRESS_TEXT = re.compile("0[xX][0-9a-fA-F]{40}", re.ASCII)


class _HeldAddress(Exact):
    """The address of a device that is not burned."""

    def equals(self, value: Any) -> Condition:
        # a token that was burned may have come back
        unburned = or_(version.c.burn_position.is_(None), version.c.owner.is_not(None))
        return and_(super().equals(value), unburned)


# verdicts that are no column of their own
_LICENSE = version.c.manufacturer_license_at_mint
MANUFACTURER_LICENSED_AT_MINT = case(
    (_LICENSE == LicenseStatus.VALID, int(Verdict.PASS)),
    (_LICENSE.in_([LicenseStatus.NONE, LicenseStatus.REVOKED, LicenseStatus.EXPIRED]), int(Verdict.FAIL)),
    else_=int(Verdict.UNKNOWN),
)
NO_ACTIVITY_AFTER_END_OF_LIFE = case(
    (version.c.end_of_life_status == EndOfLifeStatus.IN_SERVICE, int(Verdict.NOT_APPLICABLE)),
    (activity.c.active_after_end_of_life, int(Verdict.FAIL)),
    else_=int(Verdict.PASS),
)


FIELDS: Fields = {
    "any_key": Computed(_any_key),
    "owner": Exact(version.c.owner),
    "address": ADDRESS,
    "ever_had_address": Related(version.c.device_id, _addresses, Exact(EARLIER.c.address)),
    "manufacturer_id": MANUFACTURER_ID,
    "hardware_license_id": Related(
        version.c.hardware_license_id,
        _hardware_licenses,
        Number(tables.hardware_license.c.token_id, most=UINT256_MAX),
    ),
    "serial_number": SERIAL_NUMBER,
    "imei": IMEI,
    "dev_eui": DEV_EUI,
    "token_id": TOKEN_ID,
    "contract": Exact(device.c.contract),
    "chain_id": Number(device.c.chain_id),
    "manufactured_at": Moment(version.c.manufactured_at),
    "minted_at": Moment(version.c.minted_at),
    "mint_transaction_hash": Computed(_mint_transactions),
    "provisioned_at": Moment(version.c.provisioned_at),
    "claimed_at": Moment(version.c.claimed_at),
    "beneficiary": Exact(version.c.beneficiary),
    "paired_vehicle_id": Related(version.c.vehicle_id, _vehicles, Number(tables.vehicle.c.token_id, most=UINT256_MAX)),
    "last_updated_at": Moment(activity.c.updated_at),
    "last_firmware_update_at": Moment(activity.c.firmware_updated_at),
    "firmware": Computed(_firmware),
    "initial_firmware": Version(
        version.c.initial_firmware, version.c.initial_firmware_key, order=version.c.initial_version_key
    ),
    "end_of_life_status": Exact(version.c.end_of_life_status),
    "factory_reset_count": Number(activity.c.factory_reset_count),
    "factory_resets_since": Computed(_resets_since),
    "authorized_user": Computed(_authorized),
    "manufacturer_licensed_at_mint": Exact(MANUFACTURER_LICENSED_AT_MINT),
    "no_activity_after_end_of_life": Exact(NO_ACTIVITY_AFTER_END_OF_LIFE),
    "in_circuit_test": Exact(version.c.in_circuit_test),
    "mechanical_test": Exact(version.c.mechanical_test),
    "quality_inspection": Exact(version.c.quality_inspection),
    "hardware_licensed_at_mint": Exact(version.c.hardware_licensed_at_mint),
    "imei_valid": Exact(version.c.imei_valid),
    "provisioned_after_quality": Exact(version.c.provisioned_after_quality),
    "sanitized_before_disposal": Exact(version.c.sanitized_before_disposal),
    # of look-ups alone
    "held_address": _HeldAddress(version.c.address),
}


# Lists of devices


def _named(scope: Scope) -> Condition:
    return and_(device.c.chain_id == scope.chain_id, device.c.id <= scope.position)


def _of_manufacturer(scope: Scope) -> Condition:
    return version.c.manufacturer_id == scope.id


def _of_hardware_license(scope: Scope) -> Condition:
    return version.c.hardware_license_id == scope.id


PARTS = (
    Part(version, version.c.device_id, lambda scope: scope.holds(version)),
    Part(activity, activity.c.device_id, lambda scope: scope.holds(activity)),
    Part(device, device.c.id, _named),
)


def device_list(name: str, within: Callable[[Scope], Condition]) -> Listing:
    """Returns the list of the devices that are within something, by conditions on the tables of `PARTS`."""
    return Listing(name, PARTS, within, select_devices, device.c.id, FIELDS)


DEVICES = device_list("devices", always)
DEVICES_OF_MANUFACTURER = device_list("Manufacturer.devices", _of_manufacturer)
DEVICES_OF_HARDWARE_LICENSE = device_list("HardwareLicense.devices", _of_hardware_license)


@cache
def device_order(field: str, descending: bool) -> Order:
    """Returns an order of devices by a name of `DeviceOrderField`."""
    make, key = ORDERS[field]
    return make(field, key, descending)


def _always_there(name: str, key: ColumnElement[Any], descending: bool) -> Order:
    return Order(name, key, descending=descending)


ORDERS: dict[str, tuple[Callable[[str, ColumnElement[Any], bool], Order], ColumnElement[Any]]] = {
    "MINTED_AT": (by_time, version.c.minted_at),
    "TOKEN_ID": (_always_there, device.c.token_id),
    "SERIAL_NUMBER": (by_text, version.c.serial_number_key),
    "MANUFACTURED_AT": (by_time, version.c.manufactured_at),
    "LAST_UPDATED_AT": (_always_there, activity.c.updated_at),
}
BY_ID = Order("POSITION")
