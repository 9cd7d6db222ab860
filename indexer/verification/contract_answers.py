"""Compares indexed values with what the contracts return: an administrator may change a value without an event."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, text

from indexer.rpc.errors import RpcError
from indexer.rpc.providers import Providers
from indexer.rpc.refusals import HistoryGone, Reverted
from schema.profile.calls import CallField, CompiledCall
from schema.profile.reader import Reader
from schema.tables.values import OPEN

CONCURRENT_CALLS = 8


class IndexedValues(Struct, frozen=True):
    """The indexed values of a device or a manufacturer, by the call that returns them; a value left out is unknown."""

    name: str
    token_id: int
    values: dict[CallField, Any]


class Difference(Struct, frozen=True):
    """A value that differs between the events and the contract."""

    name: str
    call: str
    field: CallField
    indexed: Any
    returned: Any

    def __str__(self) -> str:
        field = self.field.value.replace("_", " ")
        return f"{self.name}: {field} is {_shown(self.indexed)} by the events, {_shown(self.returned)} by {self.call}"


def indexed_devices(connection: Connection, chain_id: int, contracts: Iterable[bytes]) -> list[IndexedValues]:
    """Returns the devices of the contracts as they are indexed now, in the order of their first logs."""
    addresses = set(contracts)
    rows = connection.execute(text(DEVICES), {"chain_id": chain_id}).mappings()
    return [_device(row) for row in rows if row["contract"] in addresses]


def indexed_manufacturers(connection: Connection, chain_id: int) -> list[IndexedValues]:
    """Returns the manufacturers whose name is known, as they are indexed now."""
    rows = connection.execute(text(MANUFACTURERS), {"chain_id": chain_id})
    return [
        IndexedValues(f"manufacturer {_number(token)}", _number(token), {CallField.MANUFACTURER_NAME: name})
        for token, name in rows
    ]


async def differences(
    providers: Providers, reader: Reader, subjects: Sequence[IndexedValues], block_number: int
) -> list[Difference]:
    """Returns the values that the contracts return differently after the block, in the order of the subjects."""
    semaphore = asyncio.Semaphore(CONCURRENT_CALLS)

    async def compare(subject: IndexedValues, call: CompiledCall, indexed: Any) -> Difference | None:
        async with semaphore:
            data = await call_contract(providers, call.to, call.data(subject.token_id), block_number)
        returned = None if data is None else call.value(data)
        return None if returned == indexed else Difference(subject.name, call.name, call.field, indexed, returned)

    compared = await asyncio.gather(
        *(
            compare(subject, reader.calls[field], indexed)
            for subject in subjects
            for field, indexed in subject.values.items()
            if field in reader.calls
        )
    )
    return [difference for difference in compared if difference is not None]


async def call_contract(providers: Providers, to: bytes, data: bytes, block_number: int) -> bytes | None:
    """Returns what a contract returns after a block; None if it reverts, or if no provider keeps that state."""
    call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
    try:
        answer = await providers.call("eth_call", [call, hex(block_number)], str)
    except RpcError as error:
        if isinstance(error.refusal, Reverted | HistoryGone):
            return None
        raise
    return bytes.fromhex(answer.result[2:])


DEVICES = f"""
    SELECT device.contract, device.token_id, owner, address, claimed_at, burn_position,
        manufacturer.token_id AS manufacturer
    FROM device
    JOIN device_version AS version ON version.chain_id = device.chain_id AND version.device_id = device.id
        AND version.valid_to = {OPEN}
    LEFT JOIN manufacturer ON manufacturer.chain_id = device.chain_id AND manufacturer.id = version.manufacturer_id
    WHERE device.chain_id = :chain_id ORDER BY device.id
"""
MANUFACTURERS = f"""
    SELECT token_id, name FROM manufacturer
    JOIN manufacturer_version AS version ON version.chain_id = manufacturer.chain_id
        AND version.manufacturer_id = manufacturer.id AND version.valid_to = {OPEN}
    WHERE manufacturer.chain_id = :chain_id AND name IS NOT NULL ORDER BY manufacturer.id
"""


def _device(row: Any) -> IndexedValues:
    token_id, owner = _number(row["token_id"]), row["owner"]
    values: dict[CallField, Any] = {CallField.OWNER: owner}
    if owner is not None or row["burn_position"] is None:  # of a burned device, only the owner is compared
        values |= {CallField.ADDRESS: row["address"], CallField.CLAIMED: row["claimed_at"] is not None}
        if row["manufacturer"] is not None:
            values[CallField.MANUFACTURER] = _number(row["manufacturer"])
    return IndexedValues(f"device {token_id}", token_id, values)


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
