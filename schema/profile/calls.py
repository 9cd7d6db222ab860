"""Calls of contracts: the `[[call]]` tables of a profile.

A call reads a value of a device or a manufacturer from the contract itself. `certindex reconcile` compares these values
with the index; `--complete` stores those that a mint event leaves out. The keys are described in
`schema/profile/model.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from schema.abi.decoder import compile_decoder
from schema.abi.signature import WORD, EventSignature, SignatureError, parse_event
from schema.abi.words import DecodeError
from schema.events import Address
from schema.profile.errors import Place, suggestion, toml
from schema.profile.rules import RoleAddress

ID = "id"
KEYS = ("contract", "function", "tells", "arguments", "manufacturer")
FUNCTION = re.compile(r"\s*(?:function\s+)?(\w+\s*\(.*\))\s*returns\s*\((.*)\)\s*", re.DOTALL)
EXAMPLE = "ownerOf(uint256 tokenId) returns (address)"


class CallField(StrEnum):
    """The field of a device, or of a manufacturer, that a call returns. A profile writes it as `tells`."""

    OWNER = "owner"
    ADDRESS = "address"
    CLAIMED = "claimed"
    MANUFACTURER = "manufacturer"
    MANUFACTURER_NAME = "manufacturer_name"


TYPES: dict[CallField, str] = {
    CallField.OWNER: "address",
    CallField.ADDRESS: "address",
    CallField.CLAIMED: "bool",
    CallField.MANUFACTURER: "uint256",
    CallField.MANUFACTURER_NAME: "string",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the profile declares it. An argument of None is the id of the device or manufacturer."""

    contract: str
    field: CallField
    function: EventSignature
    result: EventSignature
    arguments: tuple[RoleAddress | None, ...]
    manufacturer: str

    def roles(self) -> list[str]:
        """Returns the roles whose addresses the call needs."""
        return [self.contract, self.manufacturer, *(argument.role for argument in self.arguments if argument)]


class ContractCall(NamedTuple):
    """An `eth_call`: the contract and the calldata."""

    to: bytes
    data: bytes


class CompiledCall:
    """A call for the addresses of one chain: encodes an id to calldata, and decodes the result."""

    def __init__(self, call: Call, addresses: Mapping[str, Sequence[Address]]) -> None:
        self.field = call.field
        self.name = call.function.name
        self.to = addresses[call.contract][0]
        self.manufacturer_contract = addresses.get(call.manufacturer, (self.to,))[0]
        self._words = [
            None if argument is None else addresses[argument.role][0].rjust(WORD, b"\0") for argument in call.arguments
        ]
        # a function's selector is the first four bytes of the hash that an event has as topic0
        self._selector = call.function.topic0[:4]
        self._decode = compile_decoder(call.result)
        self._topic0 = call.result.topic0

    def data(self, id: int) -> bytes:
        """Returns the calldata for an id."""
        id_word = id.to_bytes(WORD, "big")
        return self._selector + b"".join(id_word if word is None else word for word in self._words)

    def to_id(self, id: int) -> ContractCall:
        """Returns the call with an id."""
        return ContractCall(self.to, self.data(id))

    def value(self, result: bytes) -> Any:
        """Returns the value that the contract returned. None if it is zero or empty, or if the bytes do not fit."""
        try:
            (value,) = self._decode(self._topic0, result)
        except DecodeError:
            return None
        if self.field is CallField.CLAIMED:
            return value
        return value if value and value != bytes(20) else None


def parse_calls(value: object, roles: Sequence[str], file: Place) -> tuple[Call, ...]:
    """Reads and checks the `[[call]]` tables. `roles` are those of the profile. Raises ProfileError with the place."""
    if not isinstance(value, list):
        file.inside("call").refuse("each call begins with a line [[call]]")
    calls = tuple(_parse(table, file.inside(f"call {number}")) for number, table in enumerate(value, start=1))
    for number, call in enumerate(calls, start=1):
        place = file.inside(f"call {number}")
        if call.field in (earlier.field for earlier in calls[: number - 1]):
            place.refuse(f'an earlier call has tells = "{call.field}"')
        for role in call.roles():
            if role not in roles:
                place.refuse(f"unknown role {role!r}{suggestion(role, roles)}")
    return calls


def compile_calls(
    calls: Sequence[Call], addresses: Mapping[str, Sequence[Address]]
) -> Mapping[CallField, CompiledCall]:
    """Returns the calls whose roles all have addresses, by the field that they return."""
    return {
        call.field: CompiledCall(call, addresses) for call in calls if all(addresses.get(role) for role in call.roles())
    }


def _parse(table: object, place: Place) -> Call:
    values = place.table(table, KEYS)
    contract = place.text(values, "contract", "registry")
    tells = place.text(values, "tells", "owner")
    if tells not in list(CallField):
        place.refuse(f"tells is {toml(tells)}{suggestion(tells, CallField)}")
    field = CallField(tells)
    function, result = _signature(place.text(values, "function", EXAMPLE), field, place)
    arguments = values.get("arguments", [ID])
    if not isinstance(arguments, list) or len(arguments) != len(function.inputs):
        place.refuse(f"arguments is {toml(arguments)}, expected a list of {len(function.inputs)}")
    return Call(
        contract=contract,
        field=field,
        function=function,
        result=result,
        arguments=tuple(
            _argument(argument, declared.type, place)
            for argument, declared in zip(arguments, function.inputs, strict=True)
        ),
        manufacturer=place.text(values, "manufacturer", "manufacturer") if "manufacturer" in values else contract,
    )


def _signature(text: str, field: CallField, place: Place) -> tuple[EventSignature, EventSignature]:
    """Returns the function and its results, both in the form of an event signature: arguments decode alike."""
    match = FUNCTION.fullmatch(text)
    if match is None:
        place.refuse(f"function is {toml(text)}. Example: {EXAMPLE}")
    try:
        function, result = parse_event(match[1]), parse_event(f"result({match[2]})")
    except SignatureError as error:
        place.refuse(f"function: {error}")
    if [argument.type for argument in result.inputs] != [TYPES[field]] or result.inputs[0].indexed:
        place.refuse(
            f'tells = "{field}" needs a function that returns one {TYPES[field]}, but this one returns ({match[2]})'
        )
    return function, result


def _argument(argument: object, type: str, place: Place) -> RoleAddress | None:
    if argument == ID and type in ("uint256", "bytes32"):  # each takes every id
        return None
    if isinstance(argument, str) and argument.startswith("@") and type == "address":
        return RoleAddress(argument[1:])
    return place.refuse(
        f'the argument {toml(argument)} does not fit {type}: write "id" for a uint256 or a bytes32, '
        '"@role" for an address'
    )
