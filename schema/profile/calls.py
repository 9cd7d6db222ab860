"""Calls of contracts that a profile tells of: what completes a fact that leaves something out, and what to compare.

```toml
[[call]]
contract  = "registry"
function  = "getParentNode(address idProxy, uint256 tokenId) returns (uint256)"
tells     = "manufacturer"
arguments = ["@aftermarket_device", "id"]
manufacturer = "manufacturer"
```

`tells` is `owner`, `address`, `claimed` or `manufacturer` of a device, or the `manufacturer_name` of a manufacturer. An
argument is the `id` of that device or manufacturer, or the address of a role. `manufacturer` names the role whose ids a
manufacturer is given by; without it they are the called contract's. What a mint leaves out is completed by
`manufacturer` and `manufacturer_name`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schema.abi.decoder import DecodeError, EventSignature, SignatureError, compile_decoder, parse_event
from schema.abi.signature import WORD
from schema.events import Address
from schema.profile.errors import Place, suggestion, toml
from schema.profile.rules import RoleAddress

ID = "id"
KEYS = ("contract", "function", "tells", "arguments", "manufacturer")
FUNCTION = re.compile(r"\s*(?:function\s+)?(\w+\s*\(.*\))\s*returns\s*\((.*)\)\s*", re.DOTALL)
EXAMPLE = "ownerOf(uint256 tokenId) returns (address)"


class CallField(StrEnum):
    """What a call says of its device or manufacturer."""

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
    """A call as the profile gives it. An argument of None is the id."""

    contract: str
    field: CallField
    function: EventSignature
    answer: EventSignature
    arguments: tuple[RoleAddress | None, ...]
    manufacturer: str

    def roles(self) -> list[str]:
        """Return the roles that it names."""
        return [self.contract, self.manufacturer, *(argument.role for argument in self.arguments if argument)]


class CompiledCall:
    """A call for the addresses of one chain: calldata from an id, and the value in an answer."""

    def __init__(self, call: Call, addresses: Mapping[str, Sequence[Address]]) -> None:
        self.field = call.field
        self.name = call.function.name
        self.to = addresses[call.contract][0]
        self.manufacturer_contract = addresses.get(call.manufacturer, (self.to,))[0]
        self._words = [
            None if argument is None else addresses[argument.role][0].rjust(WORD, b"\0") for argument in call.arguments
        ]
        # a function's selector begins the same hash that is an event's topic0
        self._selector = call.function.topic0[:4]
        self._decode = compile_decoder(call.answer)
        self._topic0 = call.answer.topic0

    def data(self, id: int) -> bytes:
        """Return the calldata that asks about an id."""
        own = id.to_bytes(WORD, "big")
        return self._selector + b"".join(own if word is None else word for word in self._words)

    def value(self, answer: bytes) -> Any:
        """Return what an answer says; None for none: zero, nothing, or bytes that do not fit."""
        try:
            (value,) = self._decode(self._topic0, answer)
        except DecodeError:
            return None
        if self.field is CallField.CLAIMED:
            return value
        return value if value and value != bytes(20) else None


def parse_calls(value: object, file: Place) -> tuple[Call, ...]:
    """Read and check `[[call]]`. Raises `ProfileError` with the call's number and key."""
    if not isinstance(value, list):
        file.inside("call").refuse("each call begins with a line [[call]]")
    calls = tuple(_parse(table, file.inside(f"call {number}")) for number, table in enumerate(value, start=1))
    for number, call in enumerate(calls, start=1):
        if call.field in (earlier.field for earlier in calls[: number - 1]):
            file.inside(f"call {number}").refuse(f"an earlier call tells {call.field.value!r} already")
    return calls


def check_calls(calls: Sequence[Call], roles: Sequence[str], file: Place) -> None:
    """Refuse references to roles that the profile does not have."""
    for number, call in enumerate(calls, start=1):
        for role in call.roles():
            if role not in roles:
                file.inside(f"call {number}").refuse(f"unknown role {role!r}{suggestion(role, roles)}")


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
    function, answer = _signature(place.text(values, "function", EXAMPLE), CallField(tells), place)
    arguments = values.get("arguments", [ID])
    if not isinstance(arguments, list) or len(arguments) != len(function.inputs):
        place.refuse(f"arguments is {toml(arguments)}, expected a list of {len(function.inputs)}")
    return Call(
        contract,
        CallField(tells),
        function,
        answer,
        tuple(
            _argument(argument, declared.type, place)
            for argument, declared in zip(arguments, function.inputs, strict=True)
        ),
        place.text(values, "manufacturer", "manufacturer") if "manufacturer" in values else contract,
    )


def _signature(text: str, tells: CallField, place: Place) -> tuple[EventSignature, EventSignature]:
    match = FUNCTION.fullmatch(text)
    if match is None:
        place.refuse(f"function is {toml(text)}. Example: {EXAMPLE}")
    try:
        function, answer = parse_event(match[1]), parse_event(f"answer({match[2]})")
    except SignatureError as error:
        place.refuse(f"function: {error}")
    if [argument.type for argument in answer.inputs] != [TYPES[tells]] or answer.inputs[0].indexed:
        place.refuse(f"{tells.value!r} is told by one {TYPES[tells]}, the function returns ({match[2]})")
    return function, answer


def _argument(argument: object, type: str, place: Place) -> RoleAddress | None:
    if argument == ID and type == "uint256":
        return None
    if isinstance(argument, str) and argument.startswith("@") and type == "address":
        return RoleAddress(argument[1:])
    return place.refuse(f'the argument {toml(argument)} is no {type}: write "id" for a uint256, "@role" for an address')
