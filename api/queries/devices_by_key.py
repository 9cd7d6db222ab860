"""Devices by thousands of keys at once: each text may be any key of a device, as `DeviceFilter.anyKey` takes it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, and_, literal, select

from api.queries.devices import ADDRESS_TEXT, DECIMAL, DEV_EUI, IMEI, SERIAL_NUMBER
from api.queries.sql import tables
from api.queries.sql.as_of import Pin
from api.queries.sql.fields import UINT256_MAX, TextField
from api.queries.sql.scope import in_force
from schema.did import parse_did
from schema.tables.values import KEY_LENGTH

device_keys, device = tables.device_key, tables.device

BATCH = 1_000
"""Keys of one statement: a limit of parameters is far above, and plans stay those of an index."""


class KeyKind(NamedTuple):
    """A kind of key: how a text becomes its value, None if it cannot be one, and the rows that have the value.

    `indexed` is the column of the index, `key` makes its value. Both values are compared: a key column has only the
    first characters.
    """

    table: FromClause
    id: ColumnElement[int]
    read: Callable[[str], Any]
    value: ColumnElement[Any]
    indexed: ColumnElement[Any]
    key: Callable[[Any], Any]
    holds: Callable[[Pin], ColumnElement[bool]]


def _text(field: TextField) -> KeyKind:
    return KeyKind(
        device_keys,
        device_keys.c.device_id,
        lambda text: field.clean(text) or None,
        field.text,
        field.key,
        lambda value: value[:KEY_LENGTH],
        _in_force,
    )


def _in_force(pin: Pin) -> ColumnElement[bool]:
    return in_force(device_keys, literal(pin.chain_id), literal(pin.position))


def _began(pin: Pin) -> ColumnElement[bool]:
    return and_(device_keys.c.chain_id == pin.chain_id, device_keys.c.valid_from <= pin.position)


def _named(pin: Pin) -> ColumnElement[bool]:
    return and_(device.c.chain_id == pin.chain_id, device.c.id <= pin.position)


def _read_address(text: str) -> bytes | None:
    return bytes.fromhex(text[2:]) if ADDRESS_TEXT.fullmatch(text) else None


def _read_token_id(text: str) -> int | None:
    number = int(text) if DECIMAL.fullmatch(text) else -1
    return number if 0 <= number <= UINT256_MAX else None


def _whole(value: Any) -> Any:
    return value


KINDS: Mapping[str, KeyKind] = {
    "serialNumber": _text(SERIAL_NUMBER),
    "imei": _text(IMEI),
    "devEUI": _text(DEV_EUI),
    "address": KeyKind(
        device_keys,
        device_keys.c.device_id,
        _read_address,
        device_keys.c.address,
        device_keys.c.address,
        _whole,
        _began,
    ),
    "tokenId": KeyKind(device, device.c.id, _read_token_id, device.c.token_id, device.c.token_id, _whole, _named),
}
"""The kinds of keys by their names in `DeviceBy`. A DID is looked up by its parts."""

DID = "tokenDID"

Devices = dict[str, set[tuple[Pin, int]]]
"""The devices that have each text: the pin and the id."""


def devices_by_key(connection: Connection, pins: Sequence[Pin], texts: Sequence[str], kinds: Sequence[str]) -> Devices:
    """Returns the devices that have each text as one of their keys of some kinds, at the pins."""
    devices: Devices = defaultdict(set)
    for name in kinds:
        if name == DID:
            _add_dids(connection, devices, pins, texts)
            continue
        kind = KINDS[name]
        values = _texts_of(texts, kind.read)
        for pin in pins:
            for id, value in _ids(connection, kind, pin, list(values)):
                for text in values[value]:
                    devices[text].add((pin, id))
    return devices


def _texts_of(texts: Sequence[str], read: Callable[[str], Any]) -> dict[Any, list[str]]:
    """Returns the texts of each value; several may have the same, such as an address in any case."""
    values: dict[Any, list[str]] = defaultdict(list)
    for text in dict.fromkeys(texts):
        value = read(text)
        if value is not None:
            values[value].append(text)
    return values


def _ids(connection: Connection, kind: KeyKind, pin: Pin, values: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    wanted = set(values)
    for batch in _batches(sorted({kind.key(value) for value in values})):
        rows = connection.execute(select(kind.id, kind.value).where(kind.holds(pin), kind.indexed.in_(batch)))
        yield from ((id, value) for id, value in rows if value in wanted)


def _batches(keys: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(keys)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _add_dids(connection: Connection, devices: Devices, pins: Sequence[Pin], texts: Sequence[str]) -> None:
    for pin in pins:
        numbers: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        for text in dict.fromkeys(texts):
            did = parse_did(text)
            if did is not None and did.chain_id == pin.chain_id and did.token_id <= UINT256_MAX:
                numbers[did.token_id].append((text, did.contract))
        for batch in _batches(sorted(numbers)):
            tokens = select(device.c.id, device.c.token_id, device.c.contract).where(
                _named(pin), device.c.token_id.in_(batch)
            )
            for id, token_id, contract in connection.execute(tokens):
                for text, named in numbers[token_id]:
                    if named == contract:
                        devices[text].add((pin, id))
