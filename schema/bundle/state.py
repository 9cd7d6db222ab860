"""The form of rows, facts and readings in a bundle. The maker and the check of a bundle share it."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import msgspec

from schema.bundle.document import Reading, Row
from schema.events import KIND_OF, Kind
from schema.profile.reader import Mapped
from schema.tables.kinds import SPANS
from schema.tables.values import INT64_MAX, block_of, offset_of
from schema.vocabulary import (
    AuthorizationEndReason,
    BizStep,
    Disposition,
    EndOfLifeProcess,
    EndOfLifeStatus,
    EventFlag,
    FactoryResetReason,
    FirmwareUpdateResult,
    LicenseStatus,
    Sanitization,
    Verdict,
)

CODES: Mapping[str, type[IntEnum]] = {
    "imei_valid": Verdict,
    "manufacturer_license_at_mint": LicenseStatus,
    "hardware_license_at_mint": LicenseStatus,
    "hardware_licensed_at_mint": Verdict,
    "in_circuit_test": Verdict,
    "mechanical_test": Verdict,
    "quality_inspection": Verdict,
    "provisioned_after_quality": Verdict,
    "end_of_life_status": EndOfLifeStatus,
    "sanitization": Sanitization,
    "sanitized_before_disposal": Verdict,
    "end_reason": AuthorizationEndReason,
    "result": FirmwareUpdateResult,
    "reason": FactoryResetReason,
    "process": EndOfLifeProcess,
}
"""Columns whose numbers are codes. A number without a code stays a number."""

FACT_FLAGS = EventFlag.UNKNOWN_CODE | EventFlag.TIME_IN_FUTURE
"""The flags of an event by itself. The others depend on earlier events; only the bundle's own device has them."""

FLAGS = ("passed", "active_after_end_of_life")
NUMBERS = ("token_id", "permissions", "connection_id")
"""Columns with numbers in 32 bytes."""
NO_PLACES: Mapping[int, str] = MappingProxyType({})
POSITIONS = ("position", "valid_from", "valid_to")


NO_READING = Reading(kind=Kind.UNMAPPED.name, fields={}, event_time=None, biz_step=None, disposition=None, flags=[])
"""The reading of a log that is only part of the fact of another log."""


def bundled(table: str, owner: str, columns: Iterable[str]) -> list[str]:
    """Returns those columns of a table that a bundle holds. A grant has the id of its subject, its `owner`, alone."""
    others = set(SPANS[table].owners.values()) - {owner} if table in SPANS else set()
    return [column for column in columns if column not in others]


def bundle_rows(rows: Iterable[Mapping[Any, Any]], places: Mapping[int, str]) -> list[Row]:
    """Returns rows as a bundle holds them: in order, without the chain id and the index keys.

    `places` has the text of each position whose offset is not the index of its log.
    """
    bundled = [
        {
            name: shown(name, value, places)
            for name, value in row.items()
            if name != "chain_id" and not name.endswith("_key")
        }
        for row in rows
    ]
    return sorted(bundled, key=_order)


def bundle_reading(
    mapped: Mapped,
    event_time: int | None,
    biz_step: int | None,
    disposition: int | None,
    flags: int,
    device_token: int | None,
) -> Reading:
    """Returns the reading of an event; the arguments are as they are stored.

    `device_token`: the token of the bundle's own device, if the event is about it. A log that names a device by its
    address has the token of this one alone.
    """
    fact = mapped.fact
    of_device = {"token_id": device_token} if mapped.contracts.by_address else {}
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__} | of_device
    return Reading(
        kind=KIND_OF[type(fact)].name,
        fields={name: _shown_field(value) for name, value in fields.items()},
        event_time=None if event_time == INT64_MAX else event_time,
        biz_step=None if biz_step is None else BizStep(biz_step).name,
        disposition=None if disposition is None else Disposition(disposition).name,
        flags=[flag.name for flag in EventFlag(flags) if flag.name is not None],
    )


def position_text(position: int, places: Mapping[int, str] = NO_PLACES) -> str:
    """Returns a position as "block:log", with ":item" behind it for a further event of a log."""
    return places.get(position) or place_text(block_of(position), offset_of(position), 0)


def place_text(block_number: int, log_index: int, item: int) -> str:
    return f"{block_number}:{log_index}:{item}" if item else f"{block_number}:{log_index}"


def to_hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def shown(name: str, value: Any, places: Mapping[int, str] = NO_PLACES) -> bool | int | str | None:
    """Returns a stored value of a column as a bundle holds it: a position as "block:log", a code by its name."""
    if value is None or isinstance(value, str):
        return value
    if name in FLAGS:
        return bool(value)
    if name in POSITIONS or (name.endswith(("_position", "_id")) and name not in NUMBERS):
        return None if value == INT64_MAX else position_text(value, places)
    if name in NUMBERS:
        return str(int.from_bytes(value, "big"))
    match value:
        case bytes() | memoryview():
            return to_hex(bytes(value))
        case int() if name in CODES:
            codes = CODES[name]
            return codes(value).name if value in codes._value2member_map_ else value
        case int():
            return None if value == INT64_MAX else value  # never, or too large to be stored
        case _:
            return str(value)


def _shown_field(value: Any) -> bool | str | None:
    match value:
        case None | bool():
            return value
        case bytes():
            return to_hex(value)
        case _:
            return str(value)


def _order(row: Row) -> tuple[tuple[int, ...], bytes]:
    began = str(row.get("valid_from") or row.get("position"))
    return tuple(map(int, began.split(":"))), msgspec.json.encode(row, order="sorted")
