"""How rows, facts and readings are written in a bundle. The maker and the check of a bundle write them alike."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

import msgspec

from schema.bundle.document import Reading, Row
from schema.events import KIND_OF, Fact
from schema.tables.values import INT64_MAX, block_of, log_index_of
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

DEVICE_TABLES = (
    "device_version",
    "device_activity",
    "device_attribute",
    "authorization",
    "test_result",
    "firmware_update",
    "factory_reset",
    "end_of_life_step",
    "transfer",
)
"""The tables whose rows are a device's, by `device_id`."""

WORDS: Mapping[str, type[IntEnum]] = {
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
"""Columns of numbers that stand for words; a number outside its list stays one."""

FACT_FLAGS = EventFlag.UNKNOWN_CODE | EventFlag.TIME_IN_FUTURE
"""The flags that an event has by itself; the others come of what was before it, which is shown of the device only."""

FLAGS = ("passed", "active_after_end_of_life")
NUMBERS = ("token_id", "permissions")
"""Columns of 32 bytes that are numbers."""
PLACES = ("position", "valid_from", "valid_to")


def bundle_rows(rows: Iterable[Mapping[Any, Any]]) -> list[Row]:
    """Returns rows, by column, as a bundle holds them: in order, without what is only there to be searched by."""
    shown = [
        {name: _shown(name, value) for name, value in row.items() if name != "chain_id" and not name.endswith("_key")}
        for row in rows
    ]
    return sorted(shown, key=_order)


def bundle_reading(
    fact: Fact, event_time: int | None, biz_step: int | None, disposition: int | None, flags: int
) -> Reading:
    """Returns what is read in an event; the numbers as they are stored."""
    return Reading(
        kind=KIND_OF[type(fact)].name,
        fields={name: _shown_field(getattr(fact, name)) for name in fact.__struct_fields__},
        event_time=None if event_time == INT64_MAX else event_time,
        biz_step=None if biz_step is None else BizStep(biz_step).name,
        disposition=None if disposition is None else Disposition(disposition).name,
        flags=[flag.name for flag in EventFlag(flags) if flag.name is not None],
    )


def position_text(position: int) -> str:
    """Returns a position as "block:log"."""
    return f"{block_of(position)}:{log_index_of(position)}"


def to_hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def _shown(name: str, value: Any) -> bool | int | str | None:
    if value is None:
        return None
    if name in FLAGS:
        return bool(value)
    if name in PLACES or (name.endswith(("_position", "_id")) and name not in NUMBERS):
        return None if value == INT64_MAX else position_text(value)
    if name in NUMBERS:
        return str(int.from_bytes(value, "big"))
    match value:
        case bytes() | memoryview():
            return to_hex(bytes(value))
        case int() if name in WORDS:
            words = WORDS[name]
            return words(value).name if value in words._value2member_map_ else value
        case int():
            return None if value == INT64_MAX else value  # never, or beyond what is kept
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
