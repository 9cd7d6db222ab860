"""Values of a profile: the type of each field of a fact, and how TOML writes field values and argument values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from msgspec.structs import FieldInfo, fields

from schema.abi.keccak import checksummed, keccak256
from schema.abi.nested import clean_text
from schema.abi.signature import Argument
from schema.events import CODE_FIELDS, FACT_TYPES, Address, Fact, Hash, Seconds, TestKind
from schema.profile.errors import Place, suggestion, toml
from schema.vocabulary import Code

ID_OF_SUBJECT = {
    "token": "token_id",
    "manufacturer": "manufacturer_id",
    "hardware_license": "hardware_license_id",
    "vehicle": "vehicle_id",
    "license": "license_id",
    "synthetic_device": "synthetic_device_id",
}
"""The keys of a rule that name the role whose ids a field contains, in the order of the contracts of `Mapped`."""

SUBJECT_OF_ID = {field: subject for subject, field in ID_OF_SUBJECT.items()}


class Holds(StrEnum):
    """The type of a field of a fact, as error messages name it."""

    NUMBER = "a number"
    ID = "an id"
    CODE = "a code"
    ADDRESS = "an address"
    HASH = "a bytes32"
    TEXT = "a text"
    FLAG = "a bool"
    TEST_KIND = "a kind of test"
    SCOPE = "a scope"
    SOURCE = "a grant source"


@dataclass(frozen=True, slots=True)
class FactField:
    name: str
    holds: Holds
    required: bool
    codes: type[Code] | None = None

    def takes(self, argument: Argument) -> bool:
        """Whether the values of an argument are values of this field, without a map."""
        kind = "hash" if argument.hashed else argument.type.rstrip("0123456789")
        match self.holds:
            case Holds.ID:  # bytes of a fixed size are a number
                return kind in ("uint", "int", "address") or (kind == "bytes" and not argument.dynamic)
            case Holds.NUMBER | Holds.CODE:
                return kind in ("uint", "int")
            case Holds.ADDRESS:
                return kind == "address"
            case Holds.HASH:
                return kind == "hash" or argument.type == "bytes32"
            case Holds.TEXT:
                return kind == "string"
            case Holds.FLAG:
                return kind == "bool"
            case Holds.SCOPE:
                return kind in ("uint", "string")
            case Holds.TEST_KIND | Holds.SOURCE:
                return False


def _fact_field(fact_type: type[Fact], info: FieldInfo, hint: Any) -> FactField:
    codes = CODE_FIELDS[fact_type].get(info.name)
    type_without_none = (get_args(hint) or (hint,))[0]
    holds = Holds.CODE if codes else HOLDS_BY_NAME.get(info.name) or HOLDS_BY_TYPE[type_without_none]
    return FactField(info.name, holds, info.required, codes)


HOLDS_BY_NAME = {"source": Holds.SOURCE, "scope": Holds.SCOPE} | dict.fromkeys(SUBJECT_OF_ID, Holds.ID)
HOLDS_BY_TYPE: dict[Any, Holds] = {
    int: Holds.NUMBER,
    Seconds: Holds.NUMBER,
    Address: Holds.ADDRESS,
    Hash: Holds.HASH,
    str: Holds.TEXT,
    bool: Holds.FLAG,
    TestKind: Holds.TEST_KIND,
}

FACT_FIELDS: dict[type[Fact], Mapping[str, FactField]] = {
    fact_type: {
        info.name: _fact_field(fact_type, info, get_type_hints(fact_type)[info.name]) for info in fields(fact_type)
    }
    for fact_type in FACT_TYPES.values()
}


def field_value(field: FactField, value: object, place: Place) -> object:
    """Returns a constant of the profile as the fact contains it. A code may be written as its number or its name."""
    match field.holds, value:
        case Holds.CODE, str() if field.codes is not None:
            if value not in field.codes.__members__:
                place.refuse(
                    f"{toml(value)} is not in {field.codes.__name__}{suggestion(value, field.codes.__members__)}"
                )
            return int(field.codes[value])
        case Holds.TEST_KIND, str():
            if value not in TestKind.__members__:
                place.refuse(f"{toml(value)} is not a kind of test{suggestion(value, TestKind.__members__)}")
            return TestKind[value]
        case ((Holds.TEXT | Holds.SCOPE | Holds.SOURCE), str()):
            return clean_text(value.encode())
        case Holds.FLAG, bool():
            return value
        case ((Holds.NUMBER | Holds.ID | Holds.CODE), int()) if not isinstance(value, bool) and 0 <= value < 2**256:
            return value
        case Holds.ADDRESS, str():
            return address(value, place)
        case Holds.HASH, str():
            return _hex(value, 32, place)
    return place.refuse(f"{toml(value)} is not {field.holds}")


def argument_value(argument: Argument, value: object, place: Place) -> object:
    """Returns a value of the profile as the decoder returns it. Every type may be written as text, as TOML keys are."""
    kind = argument.type.rstrip("0123456789")
    size = int(argument.type.removeprefix(kind) or 0) if not kind.endswith("]") else 0
    match kind, value:
        case "string", str():
            return keccak256(value.encode()) if argument.hashed else clean_text(value.encode())
        case "bool", bool():
            return value
        case "bool", ("true" | "false"):
            return value == "true"
        case (("uint" | "int"), (int() | str())) if not isinstance(value, bool):
            number = _number(value, place) if isinstance(value, str) else value
            low, high = (0, 2**size) if kind == "uint" else (-(2 ** (size - 1)), 2 ** (size - 1))
            if not low <= number < high:
                place.refuse(f"{number} is not a valid {argument.type}")
            return number
        case "address", str():
            return address(value, place)
        case "bytes", str():
            raw = _hex(value, size or None, place)
            return keccak256(raw) if argument.hashed else raw
    return place.refuse(f"{toml(value)} is not a valid {argument.type}")


def address(text: str, place: Place) -> Address:
    """Returns the 20 bytes of an address. If it is in mixed case, its EIP-55 checksum must be right."""
    raw = _hex(text, 20, place)
    digits = text.removeprefix("0x")
    if digits not in (digits.lower(), digits.upper()) and text != checksummed(raw):
        place.refuse(f"{toml(text)} has a wrong checksum. If the digits are right, write {checksummed(raw)}")
    return Address(raw)


def _hex(text: str, size: int | None, place: Place) -> bytes:
    digits = text.removeprefix("0x")
    if text == digits or len(digits) % 2 or not set(digits) <= HEX or size not in (None, len(digits) // 2):
        place.refuse(f"{toml(text)} is not 0x and {f'{2 * size} hex digits' if size else 'pairs of hex digits'}")
    return bytes.fromhex(digits)


def _number(text: str, place: Place) -> int:
    if not NUMBER.fullmatch(text):
        place.refuse(f"{toml(text)} is not a whole number")
    return int(text, 16 if text.startswith("0x") else 10)


NUMBER = re.compile(r"-?[0-9]{1,78}|0x[0-9a-fA-F]{1,64}", re.ASCII)
HEX = frozenset("0123456789abcdefABCDEF")
