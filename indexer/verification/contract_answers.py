"""What is indexed, held against what the contracts answer: an administrator may change a value with no event."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, text

from indexer.rpc import RpcError
from indexer.rpc.providers import Providers
from indexer.rpc.refusals import HistoryGone, Reverted
from schema.profile.calls import CallField, CompiledCall
from schema.profile.model import Reader
from schema.tables.values import OPEN

AT_ONCE = 8


class Standing(Struct, frozen=True):
    """A device, or a manufacturer, as it is indexed: values by what a call tells; one that is left out is unknown."""

    name: str
    token_id: int
    said: dict[CallField, Any]


class Difference(Struct, frozen=True):
    """A value that the events and the contract tell differently."""

    name: str
    call: str
    field: CallField
    indexed: Any
    answered: Any

    def __str__(self) -> str:
        told = self.field.value.replace("_", " ")
        return f"{self.name}: {told} is {_shown(self.indexed)} by the events, {_shown(self.answered)} by {self.call}"


def indexed_devices(connection: Connection, chain_id: int, contracts: Iterable[bytes]) -> list[Standing]:
    """Returns the devices of the contracts as they are indexed now, in the order of their first logs."""
    known = set(contracts)
    rows = connection.execute(text(DEVICES), {"chain_id": chain_id}).mappings()
    return [_device(row) for row in rows if bytes(row["contract"]) in known]


def indexed_manufacturers(connection: Connection, chain_id: int) -> list[Standing]:
    """Returns the manufacturers whose name is known, as they are indexed now."""
    rows = connection.execute(text(MANUFACTURERS), {"chain_id": chain_id})
    return [
        Standing(f"manufacturer {_number(token)}", _number(token), {CallField.MANUFACTURER_NAME: name})
        for token, name in rows
    ]


async def differences(
    rpc: Providers, reader: Reader, standings: Sequence[Standing], block_number: int
) -> list[Difference]:
    """Returns what the contracts answer differently after the block, in order."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def compare(standing: Standing, call: CompiledCall, indexed: Any) -> Difference | None:
        async with slots:
            answer = await ask(rpc, call.to, call.data(standing.token_id), block_number)
        answered = None if answer is None else call.value(answer)
        if answered == indexed:
            return None
        return Difference(standing.name, call.name, call.field, indexed, answered)

    compared = await asyncio.gather(
        *(
            compare(standing, reader.calls[field], indexed)
            for standing in standings
            for field, indexed in standing.said.items()
            if field in reader.calls
        )
    )
    return [difference for difference in compared if difference is not None]


async def ask(rpc: Providers, to: bytes, data: bytes, block_number: int) -> bytes | None:
    """Returns a contract's answer after a block; None where it refuses, or where the state is kept no more."""
    call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
    try:
        answer = await rpc.call("eth_call", [call, hex(block_number)], str)
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


def _device(row: Any) -> Standing:
    token_id, owner = _number(row["token_id"]), _bytes(row["owner"])
    said: dict[CallField, Any] = {CallField.OWNER: owner}
    if owner is not None or row["burn_position"] is None:  # what a contract says of a burned device means nothing
        said |= {CallField.ADDRESS: _bytes(row["address"]), CallField.CLAIMED: row["claimed_at"] is not None}
        if row["manufacturer"] is not None:
            said[CallField.MANUFACTURER] = _number(row["manufacturer"])
    return Standing(f"device {token_id}", token_id, said)


def _number(value: Any) -> int:
    return int.from_bytes(bytes(value), "big")


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
