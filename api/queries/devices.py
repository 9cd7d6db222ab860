"""Devices as they are at a point: their rows, the fields of their filters, and the lists of them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    case,
    false,
    func,
    or_,
    select,
    true,
    union_all,
)

from api.queries.blocks import first_position_from
from api.queries.grants import authorized_user
from api.queries.sql import tables
from api.queries.sql.fields import (
    CaseField,
    ComputedField,
    ExactField,
    NumberField,
    RelatedField,
    ScopedField,
    TextField,
    TimeField,
    VersionField,
    number_fits,
    related_token_id,
    token_id_field,
)
from api.queries.sql.filters import Comparisons, Condition, Field, Fields, Filter, matches, negate
from api.queries.sql.identities import MAX_LIST, attributes_of, identity_relation, list_parts
from api.queries.sql.intervals import interval_chain, touched_devices
from api.queries.sql.keys import Key, key_rows, lists_by_key, row_by_key
from api.queries.sql.listings import Listing, Order, SharedField, always, both_directions, by_text, by_time
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.pages import select_ids
from api.queries.sql.scope import Scope, scope_of
from api.queries.sql.times import seconds_up
from api.queries.vehicles import vehicle_field
from schema.did import TokenDid, parse_did
from schema.events import Kind
from schema.tables.values import clean_text
from schema.vocabulary import EndOfLifeStatus, LicenseStatus, Verdict, imei_key

device = tables.device
device_keys = tables.device_key
version = tables.device_version
activity = tables.device_activity
earlier_keys = device_keys.alias("earlier")
other_keys = device_keys.alias("other")

DEVICE = identity_relation(device, device_keys, version, activity, keys=("firmware_version_key",))


@row_by_key
def successors(scope: Scope) -> Select[Any]:
    """Returns (id) of the device that took over the address of each key's burned device, None if none did."""
    succeeds = and_(device_keys.c.predecessor_id == scope.id, scope.holds(device_keys))
    return select(device_keys.c.device_id.label("id")).select_from(OrderedJoin(scope.keys, device_keys, succeeds))


def addresses(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (address, since, until) of each address of a device, newest first. `until` is None for the current one.

    `since` and `until` are positions.
    """
    scope = scope_of(key_rows(connection, keys))
    began = and_(device_keys.c.device_id == scope.id, scope.began(device_keys))
    before = func.lag(device_keys.c.address).over(partition_by=scope.keys.c.place, order_by=device_keys.c.valid_from)
    rows = (
        select(scope.keys.c.place, device_keys.c.address, device_keys.c.valid_from, before.label("before"))
        .select_from(OrderedJoin(scope.keys, device_keys, began))
        .subquery("rows")
    )
    # the end of one address is the start of the next, or of none
    changes = (
        select(
            rows.c.place,
            rows.c.address,
            rows.c.valid_from.label("since"),
            func.lead(rows.c.valid_from).over(partition_by=rows.c.place, order_by=rows.c.valid_from).label("until"),
        )
        .where(rows.c.address.is_distinct_from(rows.c.before))
        .subquery("changes")
    )
    query = select(*changes.c).where(changes.c.address.is_not(None))
    return lists_by_key(connection, query, changes.c.since.desc(), MAX_LIST, len(keys))


attributes = attributes_of(tables.device_attribute, tables.device_attribute.c.device_id)


# Fields of a filter


def devices_fitting(scope: Scope, filter: Filter, *, is_touched: bool = False) -> Select[Any]:
    """Returns the SELECT of the ids of the chain's devices that fit a filter at the scope.

    With `is_touched`, of those that an interval touched (`interval_values`).
    """
    return select_ids(DEVICES, scope, filter, is_touched=is_touched).correlate(scope.keys)


def unburned(rows: FromClause) -> Condition:
    """The device is not burned. A token that was burned and minted again has an owner."""
    return or_(rows.c.burn_position.is_(None), rows.c.owner.is_not(None))


def _ids_by_address(scope: Scope) -> Select[Any]:
    return select(earlier_keys.c.device_id).where(scope.began(earlier_keys))


def _mint_transactions(scope: Scope, comparisons: Comparisons) -> Condition:
    minted = tables.event.c
    positions = select(minted.position).where(
        minted.chain_id == scope.chain_id,
        minted.kind == Kind.DEVICE_MINTED,
        ExactField(minted.transaction_hash).condition(scope, comparisons),
    )
    devices = positions.with_only_columns(minted.device_id)
    # the condition on device_id lets an index find the devices, that on mint_position decides which of them fit
    return and_(
        version.c.mint_position.in_(positions.correlate(scope.keys)),
        device_keys.c.device_id.in_(devices.correlate(scope.keys)),
    )


def _resets_since(scope: Scope, comparisons: Comparisons, *, of_few: bool = False) -> Condition:
    arguments = dict(comparisons)
    counts: Comparisons = arguments["count"]
    reset = tables.factory_reset
    of_period = (
        reset.c.chain_id == scope.chain_id,
        reset.c.position >= scope.number(first_position_from, seconds_up(arguments["since"])),
        reset.c.position <= scope.position,
    )
    if not of_few and not number_fits(0, counts):
        # the resets name the devices that fit
        fits = NumberField(func.count()).condition(scope, counts)
        devices = select(reset.c.device_id).where(*of_period).group_by(reset.c.device_id).having(fits)
        return device_keys.c.device_id.in_(devices.correlate(scope.keys))
    count = (
        select(func.count())
        .select_from(reset)
        .where(*of_period, reset.c.device_id == device_keys.c.device_id)
        .correlate(scope.keys, device_keys)
        .scalar_subquery()
    )
    # names the table outside of the subquery too, so that the walk joins it
    return and_(device_keys.c.device_id.is_not(None), NumberField(count).condition(scope, counts))


def _firmware(scope: Scope, filter: Filter) -> Condition:
    return matches(scope, filter, FIRMWARE_FIELDS)


def without_separators(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Returns an IMEI without its spaces and hyphens."""
    return func.replace(func.replace(text, " ", ""), "-", "")


def _imei_key(text: str) -> str:
    return imei_key(clean_text(text))


def _imei_unique(scope: Scope, *, of_few: bool = False) -> Field:
    """Whether no other unburned device of the contract has the IMEI, as `duplicates.py` finds them."""
    is_known = device_keys.c.imei.is_not(None)
    own_device, other_device = device.alias("own_device"), device.alias("other_device")
    others = (
        select(other_keys.c.device_id)
        .join(other_device, _is_device(other_keys, other_device))
        .join(own_device, _is_device(device_keys, own_device))
        .where(
            own_device.c.contract == other_device.c.contract,
            without_separators(other_keys.c.imei) == without_separators(device_keys.c.imei),
            unburned(other_keys),
        )
    )
    keys = (device_keys.c.imei_key, other_keys.c.imei_key)
    return _unique(scope, *keys, is_known, device_keys.c.dev_eui.is_not(None), others, of_few=of_few)


def _serial_number_unique(scope: Scope, *, of_few: bool = False) -> Field:
    """Whether no other device of the manufacturer has the serial number, as `duplicates.py` finds them."""
    is_known = and_(device_keys.c.serial_number.is_not(None), device_keys.c.manufacturer_id.is_not(None))
    others = select(other_keys.c.device_id).where(
        other_keys.c.manufacturer_id == device_keys.c.manufacturer_id,
        other_keys.c.serial_number == device_keys.c.serial_number,
    )
    keys = (device_keys.c.serial_number_key, other_keys.c.serial_number_key)
    return _unique(scope, *keys, is_known, false(), others, of_few=of_few)


def _unique(
    scope: Scope,
    key: ColumnElement[str],
    other_key: ColumnElement[str],
    is_known: Condition,
    is_not_applicable: Condition,
    others: Select[Any],
    *,
    of_few: bool,
) -> Field:
    """Returns the verdict on a value that is one device's own. `others` selects the devices with the same value.

    Most values occur once. One pass over the index of the key finds the others; only they are compared. With `of_few`,
    each device is compared.
    """
    repeated = select(other_key).where(scope.holds(other_keys)).group_by(other_key).having(func.count() > 1)
    same = others.where(
        scope.holds(other_keys),
        other_key == key,
        other_keys.c.device_id != device_keys.c.device_id,
        other_keys.c.device_id.is_distinct_from(device_keys.c.predecessor_id),
        other_keys.c.predecessor_id.is_distinct_from(device_keys.c.device_id),
    )
    may_be_shared = true() if of_few else key.in_(repeated.correlate(scope.keys))
    is_shared = and_(may_be_shared, same.correlate(scope.keys, device_keys).exists())
    return CaseField(
        {
            Verdict.FAIL: and_(is_known, is_shared),
            Verdict.PASS: and_(is_known, negate(is_shared)),
            Verdict.NOT_APPLICABLE: and_(negate(is_known), is_not_applicable),
            Verdict.UNKNOWN: and_(negate(is_known), negate(is_not_applicable)),
        }
    )


def _is_device(rows: FromClause, devices: FromClause) -> Condition:
    return and_(devices.c.chain_id == rows.c.chain_id, devices.c.id == rows.c.device_id)


def _any_key(scope: Scope, text: str) -> Condition:
    """The text is one of the device's keys: serial number, IMEI, DevEUI, token id, address or DID."""
    keys = [_with_key(scope, field.equals(text)) for field in (SERIAL_NUMBER, IMEI, DEV_EUI)]
    if DECIMAL.fullmatch(text):
        keys.append(_tokens(scope, TOKEN_ID.equals(int(text))))
    elif ADDRESS_TEXT.fullmatch(text):
        keys.append(_ids_by_address(scope).where(earlier_keys.c.address == bytes.fromhex(text[2:])))
    elif did := parse_did(text):
        keys.append(_tokens(scope, matches(scope, did_filter(did), FIELDS)))
    return device_keys.c.device_id.in_(union_all(*(key.correlate(scope.keys) for key in keys)))


def _with_key(scope: Scope, condition: Condition) -> Select[Any]:
    return select(device_keys.c.device_id).where(scope.holds(device_keys), condition)


def _tokens(scope: Scope, condition: Condition) -> Select[Any]:
    return select(device.c.id).where(device.c.chain_id == scope.chain_id, condition)


def did_filter(did: TokenDid) -> Filter:
    """Returns the filter that the token of a DID alone passes."""
    return tuple((name, (("eq", value),)) for name, value in did._asdict().items())


DECIMAL = re.compile("[0-9]{1,78}", re.ASCII)
ADDRESS_TEXT = re.compile("0[xX][0-9a-fA-F]{40}", re.ASCII)


class _HeldAddress(ExactField):
    """The address of a device that is not burned."""

    def equals(self, value: Any) -> Condition:
        return and_(super().equals(value), unburned(device_keys))


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

SERIAL_NUMBER = TextField(device_keys.c.serial_number, device_keys.c.serial_number_key)
IMEI = TextField(without_separators(device_keys.c.imei), device_keys.c.imei_key, clean=_imei_key)
DEV_EUI = TextField(device_keys.c.dev_eui, device_keys.c.dev_eui_key)
TOKEN_ID = token_id_field(device)

FIRMWARE_FIELDS: Fields = {
    "version": VersionField(activity.c.firmware, activity.c.firmware_key, order=activity.c.firmware_version_key),
    "image_hash": ExactField(activity.c.firmware_image_hash),
}
FIELDS: Fields = {
    "any_key": ComputedField(_any_key),
    "owner": ExactField(device_keys.c.owner),
    "address": ExactField(device_keys.c.address),
    "ever_had_address": RelatedField(device_keys.c.device_id, _ids_by_address, ExactField(earlier_keys.c.address)),
    "manufacturer_id": related_token_id(device_keys.c.manufacturer_id, tables.manufacturer),
    "hardware_license_id": related_token_id(device_keys.c.hardware_license_id, tables.hardware_license),
    "serial_number": SERIAL_NUMBER,
    "imei": IMEI,
    "dev_eui": DEV_EUI,
    "token_id": TOKEN_ID,
    "contract": ExactField(device.c.contract),
    "chain_id": NumberField(device.c.chain_id),
    "manufactured_at": TimeField(device_keys.c.manufactured_at),
    "minted_at": TimeField(device_keys.c.minted_at),
    "mint_transaction_hash": ComputedField(_mint_transactions),
    "provisioned_at": TimeField(version.c.provisioned_at),
    "claimed_at": TimeField(version.c.claimed_at),
    "beneficiary": ExactField(device_keys.c.beneficiary),
    "paired_vehicle_id": related_token_id(device_keys.c.vehicle_id, tables.vehicle),
    "paired_vehicle": vehicle_field(device_keys.c.vehicle_id),
    "last_updated_at": TimeField(activity.c.updated_at),
    "last_firmware_update_at": TimeField(activity.c.firmware_updated_at),
    "firmware": ComputedField(_firmware),
    "initial_firmware": VersionField(
        version.c.initial_firmware, version.c.initial_firmware_key, order=version.c.initial_version_key
    ),
    "end_of_life_status": ExactField(version.c.end_of_life_status),
    "factory_reset_count": NumberField(activity.c.factory_reset_count),
    "factory_resets_since": ComputedField(_resets_since),
    "authorized_user": authorized_user(device_keys.c.device_id),
    "manufacturer_licensed_at_mint": ExactField(MANUFACTURER_LICENSED_AT_MINT),
    "no_activity_after_end_of_life": ExactField(NO_ACTIVITY_AFTER_END_OF_LIFE),
    "in_circuit_test": ExactField(version.c.in_circuit_test),
    "mechanical_test": ExactField(version.c.mechanical_test),
    "quality_inspection": ExactField(version.c.quality_inspection),
    "hardware_licensed_at_mint": ExactField(version.c.hardware_licensed_at_mint),
    "imei_valid": ExactField(version.c.imei_valid),
    "imei_unique": ScopedField(_imei_unique),
    "serial_unique_for_manufacturer": ScopedField(_serial_number_unique),
    "provisioned_after_quality": ExactField(version.c.provisioned_after_quality),
    "sanitized_before_disposal": ExactField(version.c.sanitized_before_disposal),
    # not in filters of /graphql
    "burned": ComputedField(lambda scope, burned: negate(unburned(device_keys)) if burned else unburned(device_keys)),
    "held_address": _HeldAddress(device_keys.c.address),
}


# Lists


def _list(name: str, within: Callable[[Scope], Condition]) -> Listing:
    """Returns the list of the devices for which `within` holds, a condition on the tables of devices."""
    parts = list_parts(device, device_keys, version, activity)
    return Listing(name, parts, within, DEVICE, device.c.id, FIELDS, is_touched, SETTLED, SHARED)


SETTLED = frozenset(
    {
        *("owner", "address", "manufacturer_id", "hardware_license_id", "serial_number", "imei", "dev_eui", "token_id"),
        *("contract", "chain_id", "manufactured_at", "minted_at", "provisioned_at", "claimed_at", "beneficiary"),
        *("paired_vehicle_id", "last_updated_at", "last_firmware_update_at", "firmware", "initial_firmware"),
        *("end_of_life_status", "factory_reset_count", "manufacturer_licensed_at_mint", "hardware_licensed_at_mint"),
        *("no_activity_after_end_of_life", "in_circuit_test", "mechanical_test", "quality_inspection", "imei_valid"),
        *("provisioned_after_quality", "sanitized_before_disposal"),
    }
)
"""The fields that are columns of the device's own rows, which change only at an event about the device."""


def is_touched() -> Condition:
    """An event of an interval is about the device."""
    return device_keys.c.device_id.in_(touched_devices())


def _shared(column: ColumnElement[str], make: Callable[..., Field]) -> SharedField:
    """Returns the field that compares a device with those that have the same key."""
    earlier_key = earlier_keys.c[column.name]

    def touched() -> Condition:
        """An event of an interval is about a device that ever had the key."""
        keys = select(earlier_key).where(earlier_keys.c.device_id.in_(touched_devices()), earlier_key > "")
        return column.in_(keys.where(earlier_keys.c.chain_id == interval_chain()).correlate(None))

    return SharedField(touched, ScopedField(partial(make, of_few=True)))


SHARED = {
    "imei_unique": _shared(device_keys.c.imei_key, _imei_unique),
    "serial_unique_for_manufacturer": _shared(device_keys.c.serial_number_key, _serial_number_unique),
}
"""The fields that change by events about other devices."""


DEVICES = _list("devices", always)
DEVICE_OF_EVENT = replace(
    DEVICES,
    name="LifecycleEvent.device",
    fields={
        **DEVICES.fields_of_few,
        "factory_resets_since": ComputedField(partial(_resets_since, of_few=True)),
        "authorized_user": authorized_user(device_keys.c.device_id, of_few=True),
        "paired_vehicle": vehicle_field(device_keys.c.vehicle_id, of_few=True),
    },
)
"""The device of an event, at a point of its own: a set of devices, grants or vehicles would be made for each event."""
DEVICES_OF_MANUFACTURER = _list("Manufacturer.devices", lambda scope: device_keys.c.manufacturer_id == scope.id)
DEVICES_OF_HARDWARE_LICENSE = _list(
    "HardwareLicense.devices", lambda scope: device_keys.c.hardware_license_id == scope.id
)

DEVICE_ORDERS = both_directions(
    by_time("MINTED_AT", device_keys.c.minted_at),
    Order("TOKEN_ID", device.c.token_id),
    by_text("SERIAL_NUMBER", device_keys.c.serial_number_key),
    by_time("MANUFACTURED_AT", device_keys.c.manufactured_at),
    Order("LAST_UPDATED_AT", activity.c.updated_at),
)
"""The orders of devices by (name of `DeviceOrderField`, whether it descends)."""
