"""`certindex reconcile`: asks the contracts whether the index is right, or for what their old events leave out."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct
from sqlalchemy import Connection, Engine, bindparam, text

from indexer.decode.completion import Question, missing_from
from indexer.decode.decode import read_event
from indexer.errors import Stop
from indexer.opening import open_database, open_store, stored_profile
from indexer.rpc import Pool
from indexer.settings import NodeSettings
from indexer.store.contract_calls import load_answers
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, read_watch_set
from indexer.verification.contract_answers import Standing, ask, differences, indexed_devices, indexed_manufacturers
from schema.events import Kind
from schema.profile.calls import CallField, CompiledCall
from schema.profile.model import Profile, Reader
from schema.tables import rows
from schema.tables.database import reading
from schema.tables.values import block_of

COMPLETED_KINDS = (Kind.DEVICE_MINTED, Kind.MANUFACTURER_MINTED)
VALUES_OF_DEVICES = (CallField.OWNER, CallField.ADDRESS, CallField.CLAIMED, CallField.MANUFACTURER)


class Node(Struct, frozen=True):
    """An indexed chain, and the providers of it."""

    engine: Engine
    pool: Pool
    chain_id: int
    profile: Profile
    contracts: Sequence[WatchedContract]
    reader: Reader


class Missing(Struct, frozen=True):
    """What an event leaves out, the call that tells it, and the block of the event."""

    call: CompiledCall
    id: int
    block_number: int

    @property
    def question(self) -> Question:
        return Question(self.call.to, self.call.data(self.id))


async def reconcile(settings: NodeSettings, *, sample: int | None) -> int:
    """Compares devices, all or a random sample, with the contracts at the indexed block; 1 where they differ."""
    async with _opened(settings) as node:
        if not any(field in node.reader.calls for field in VALUES_OF_DEVICES):
            raise Stop(f"The profile {node.profile.name!r} tells of no [[call]] by which a device could be compared.")
        with reading(node.engine).begin() as connection:
            block_number = _indexed_block(connection, node.chain_id)
            devices = indexed_devices(connection, node.chain_id, _device_contracts(node.reader))
            makers = indexed_manufacturers(connection, node.chain_id)
        chosen = _sampled(devices, sample)
        found = await differences(node.pool, node.reader, [*chosen, *makers], block_number)
    for difference in found:
        print(difference)
    print(
        f"reconciled chain={node.chain_id} block={block_number} devices={len(chosen)} of={len(devices)} "
        f"manufacturers={len(makers)} differences={len(found)}"
    )
    return 1 if found else 0


async def complete(settings: NodeSettings) -> int:
    """Asks the contracts for what old events leave out, stores the answers and folds all events again."""
    async with _opened(settings) as node:
        missing = await asyncio.to_thread(_missing, node)
        with reading(node.engine).begin() as connection:
            block_number = _final_block(connection, node.chain_id)
        answers = [answer for one in missing if (answer := await _answer(node, one, block_number)) is not None]
        facts = await _store(node, answers) if answers else 0
    print(
        f"completed chain={node.chain_id} missing={len(missing)} answered={len(answers)} "
        f"block={block_number} facts={facts}"
    )
    return 0


def _missing(node: Node) -> list[Missing]:
    """Returns what events leave out and no stored answer tells, each question once, in order."""
    found: dict[Question, Missing] = {}
    with reading(node.engine).begin() as connection:
        statement = text(
            """SELECT position, address, topics, data, transaction_hash, transaction_index FROM event
            WHERE chain_id = :chain_id AND kind IN :kinds ORDER BY position"""
        ).bindparams(bindparam("kinds", expanding=True))
        kinds = [kind.value for kind in COMPLETED_KINDS]
        for row in connection.execute(statement, {"chain_id": node.chain_id, "kinds": kinds}):
            block_number = block_of(row.position)
            position, address, topics, data, transaction_hash, index = row
            event = rows.Event(position, address, topics, data, transaction_hash, index, Kind.UNMAPPED.value)
            fact = read_event(node.reader, event, block_number, 0)
            asked = None if fact is None else missing_from(node.reader.calls, fact)
            if asked is not None:
                missing = Missing(*asked, block_number)
                found.setdefault(missing.question, missing)
        answered = load_answers(connection, node.chain_id, found)
    return [missing for question, missing in found.items() if question not in answered]


async def _answer(node: Node, missing: Missing, block_number: int) -> rows.Call | None:
    """Returns what the contract says now, else what it said after the event; None where it says nothing."""
    to, data = missing.question
    for at in (block_number, missing.block_number):
        answer = await ask(node.pool, to, data, at)
        if answer is not None and missing.call.value(answer) is not None:
            return rows.Call(to, data, at, answer)
    return None


async def _store(node: Node, answers: Sequence[rows.Call]) -> int:
    lease = Lease(node.engine, node.chain_id)
    await lease.acquire(wait=False)
    try:
        store = open_store(node.engine, node.chain_id, node.profile, node.contracts, lease)
        stored = await asyncio.to_thread(store.rebuild, store.checkpoint(), node.profile, answers)
    finally:
        lease.release()
    return stored.facts


@asynccontextmanager
async def _opened(settings: NodeSettings) -> AsyncIterator[Node]:
    engine, chain_id = open_database(settings)
    pool = Pool(settings.rpc_urls)
    try:
        await pool.check_chain(chain_id)
        with reading(engine).begin() as connection:
            profile = stored_profile(connection, chain_id)
            contracts = read_watch_set(connection, chain_id)
        addresses: dict[str, list[bytes]] = {}
        for contract in contracts:
            addresses.setdefault(contract.role, []).append(contract.address)
        yield Node(engine, pool, chain_id, profile, contracts, profile.compile(addresses))
    finally:
        await pool.close()
        engine.dispose()


def _device_contracts(reader: Reader) -> frozenset[bytes]:
    """Returns the contracts of which a call can be asked: where a role has several addresses, that is the first."""
    owner = reader.calls.get(CallField.OWNER)
    return frozenset(reader.device_contracts if owner is None else {owner.to})


def _sampled(devices: list[Standing], sample: int | None) -> list[Standing]:
    return devices if sample is None or sample >= len(devices) else random.sample(devices, sample)


def _indexed_block(connection: Connection, chain_id: int) -> int:
    statement = text("SELECT indexed_number FROM chain WHERE chain_id = :chain_id")
    return int(connection.execute(statement, {"chain_id": chain_id}).scalar_one())


def _final_block(connection: Connection, chain_id: int) -> int:
    """Returns the last indexed block that is final; the indexed one where none is."""
    statement = text("SELECT indexed_number, finalized_number FROM chain WHERE chain_id = :chain_id")
    indexed, finalized = connection.execute(statement, {"chain_id": chain_id}).one()
    return int(min(indexed, finalized) if finalized else indexed)
