"""What the commands that prove do: `verify`, `prove`, `check`, `attest`, `digest`."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from indexer.check import Failed, check
from indexer.errors import Stop
from indexer.observe.status import verification_failures
from indexer.opening import open_database, open_verifier
from indexer.rpc import Pool
from indexer.settings import DatabaseSettings, NodeSettings, ProveSettings, VerifySettings
from indexer.store.event_ranges import Stored
from indexer.store.verification import Levels
from indexer.store.watch_set import WatchedContract, first_block, read_watch_set
from indexer.verification.attestation import Anchor, Attester, Unattestable, attestation, recomputed_digests
from indexer.verification.verifier import Tally
from indexer.verification.witness import Witness
from schema.bundle.document import Bundle, to_json
from schema.bundle.making import Unreadable, make_bundle, unproven_blocks
from schema.did import EXAMPLE, TokenDid, parse_did
from schema.tables.database import connect, reading
from schema.tables.values import uint256_bytes

SHOWN_FAILURES = 20
ANCHOR_DISTANCE = 256


class OpenedNode(Struct, frozen=True):
    """What a command works with that asks providers about an indexed chain."""

    engine: Engine
    pool: Pool
    chain_id: int
    contracts: list[WatchedContract]


async def verify(settings: VerifySettings, first: int | None, last: int | None) -> int:
    """Verifies the blocks with events from first to last now; without them, all that are indexed and final."""
    async with opened_node(settings, settings.rpc_urls) as node:
        levels = Levels(node.engine, node.chain_id, keep_proofs=settings.keep_proofs)
        verifier = open_verifier(node.pool, levels, node.contracts)
        start = 0 if first is None else first
        end = (await asyncio.to_thread(levels.mark)).final if last is None else last
        _check_indexed(node.chain_id, end, await asyncio.to_thread(_indexed, node.engine, node.chain_id))
        if first is not None and first > end:
            raise Stop(
                f"--from {first} lies after {f'block {end}, the last final one' if last is None else f'--to {last}'}."
            )
        total = Tally()
        async for number, tally in verifier.verify(start, end):
            total.add(tally)
            print(f"judged to block {number}: {total.verified} of {total.blocks} verified", file=sys.stderr)
        with reading(node.engine).begin() as connection:
            failures = verification_failures(connection, node.chain_id, start, end, SHOWN_FAILURES)
    for failure in failures:
        print(f"block {failure.number}: {failure.cause.name}: {failure.reason}")
    print(
        f"verified chain={node.chain_id} blocks={total.verified} events={total.events} "
        f"unverifiable={total.unverifiable} alarms={total.alarms}"
    )
    return 0 if total.verified == total.blocks else 1


async def prove(settings: ProveSettings, device: str, out: Path | None) -> int:
    """Writes a device's bundle; what is not proven yet is asked of a node and verified first."""
    opened, chain_id = open_database(settings)
    opened.dispose()
    bundle = _make(settings.database_url, chain_id, device)
    missing = unproven_blocks(bundle)
    if missing:
        await _verify_blocks(settings, missing)
        bundle = _make(settings.database_url, chain_id, device)
    data = to_json(bundle)
    try:
        checked = check(data, {})
    except Failed as failure:
        raise Stop(
            f"The bundle of {device} would not pass its own check: {failure}. What is stored was changed: certindex "
            "rebuild writes the rows anew that events come to, certindex verify the headers and proofs"
        ) from None
    _write(data + b"\n", out)
    if out is not None:
        print(f"{out}: {checked.did}, {checked.events} events in {checked.blocks} blocks, {len(data)} bytes")
    return 0


def _make(database_url: str, chain_id: int, device: str) -> Bundle:
    """Returns a device's bundle, of one state of the database. Raises Stop."""
    engine = connect(database_url, read_only=True)
    try:
        with engine.connect() as connection:
            contract, token_id = find_device(connection, chain_id, device)
            bundle = make_bundle(connection, chain_id, contract, token_id)
    except Unreadable as error:
        raise Stop(str(error)) from None
    finally:
        engine.dispose()
    assert bundle is not None
    return bundle


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise Stop(f"{out} cannot be written: {error.strerror}") from None


async def _verify_blocks(settings: ProveSettings, numbers: Sequence[int]) -> None:
    """Verifies these blocks and stores their proofs. Raises Stop for one that cannot be verified."""
    if settings.rpc_urls is None:
        raise Stop(
            f"{len(numbers)} blocks with events of the device are not proven yet, block {numbers[0]} first, and there "
            "is no node to ask for their receipts. Example: RPC_URLS=http://127.0.0.1:8545"
        )
    async with opened_node(settings, settings.rpc_urls) as node:
        verifier = open_verifier(node.pool, Levels(node.engine, node.chain_id), node.contracts)
        for number in numbers:
            async for _, tally in verifier.verify(number, number):
                if tally.verified:
                    continue
                with reading(node.engine).begin() as connection:
                    (failure,) = verification_failures(connection, node.chain_id, number, number, 1)
                raise Stop(f"Block {number} holds an event of the device and cannot be proven: {failure.reason}")


def find_device(connection: Connection, chain_id: int, named: str) -> tuple[bytes, int]:
    """Returns contract and token id of a device that is named by its DID or its token id. Raises Stop."""
    did = parse_did(named)
    if did is None and not re.fullmatch("[0-9]{1,78}", named):
        raise Stop(f'"{named}" names no device. Example: 42, or {EXAMPLE}')
    if did is not None and did.chain_id != chain_id:
        raise Stop(f"{named} is of chain {did.chain_id}, the database's chain is {chain_id}. Set CHAIN_ID.")
    token_id = int(named) if did is None else did.token_id
    found = connection.execute(
        text("SELECT contract FROM device WHERE chain_id = :chain_id AND token_id = :token_id ORDER BY contract"),
        {"chain_id": chain_id, "token_id": uint256_bytes(token_id) if token_id < 2**256 else b""},
    )
    contracts = [bytes(contract) for (contract,) in found]
    if did is not None:
        contracts = [contract for contract in contracts if contract == did.contract]
    if not contracts:
        raise Stop(f"Chain {chain_id} has no device {named}, as far as it is indexed.")
    if len(contracts) > 1:
        dids = ", ".join(str(TokenDid(chain_id, contract, token_id)) for contract in contracts)
        raise Stop(f"Token {token_id} is a device of several contracts; name one: {dids}")
    return contracts[0], token_id


async def attest(
    settings: NodeSettings, first: int | None, last: int | None, given: tuple[int, bytes] | None, out: Path | None
) -> int:
    """Writes the attestation of a range; without one, of all that is indexed and final."""
    async with opened_node(settings, settings.rpc_urls) as node:
        levels, stored = Levels(node.engine, node.chain_id), Stored(node.engine, node.chain_id)
        final = levels.mark().final
        start = first_block(node.contracts) if first is None else first
        end = final if last is None else last
        _check_range(node.contracts, start, end, final, given)
        before = stored.digest_before(start)
        verifier = open_verifier(node.pool, levels, node.contracts)
        attester = Attester(
            Witness(node.pool),
            verifier,
            stored,
            [contract.address for contract in node.contracts],
            providers=len(node.pool.hosts),
        )
        try:
            found, anchor = await attester.attest(start, end, _anchor(stored, end, given))
        except Unattestable as error:
            print(f"FAIL blocks {start} to {end} of chain {node.chain_id}: {error}")
            return 1
        document = attestation(node.chain_id, node.contracts, found, anchor, before, int(time.time()))
    _write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n", out)
    if out is not None:
        print(
            f"PASS blocks {start} to {end} of chain {node.chain_id}: {found.events} events, all there are; "
            f"{found.excluded} blocks excluded by their bloom, {found.rebuilt} rebuilt. Written to {out}"
        )
    return 0


def digest(settings: DatabaseSettings, to: int | None, *, recompute: bool) -> int:
    """Prints the digest of all events, recomputed from them; two deployments compare theirs."""
    engine, chain_id = open_database(settings)
    try:
        stored = Stored(engine, chain_id)
        indexed = _indexed(engine, chain_id)
        with reading(engine).begin() as connection:
            first = first_block(read_watch_set(connection, chain_id))
        last = indexed if to is None else to
        _check_indexed(chain_id, last, indexed)
        if recompute:
            for number, kept, made in recomputed_digests(stored, first, last):
                if kept != made:
                    print(
                        f"FAIL block {number}: its stored digest is 0x{kept.hex()}, the stored events make it "
                        f"0x{made.hex()}: events of it, or of a block before it, were changed"
                    )
                    return 1
        print(f"chain={chain_id} block={last} digest=0x{stored.digest_before(last + 1).hex()}")
    except Unattestable as error:
        print(f"FAIL {error}")
        return 1
    finally:
        engine.dispose()
    return 0


def _indexed(engine: Engine, chain_id: int) -> int:
    with reading(engine).begin() as connection:
        found = connection.execute(
            text("SELECT indexed_number FROM chain WHERE chain_id = :chain_id"), {"chain_id": chain_id}
        )
        return int(found.scalar_one())


def _check_indexed(chain_id: int, last: int, indexed: int) -> None:
    if last > indexed:
        raise Stop(f"--to {last}: chain {chain_id} is indexed to block {indexed}.")


def _check_range(
    contracts: Sequence[WatchedContract], first: int, last: int, final: int, given: tuple[int, bytes] | None
) -> None:
    start = first_block(contracts)
    if first < start:
        raise Stop(f"--from {first}: the contracts are watched from block {start} on. Set --from {start}.")
    if last > final:
        raise Stop(f"--to {last}: block {final} is the last one that is indexed and final. Set --to {final}.")
    if first > last:
        raise Stop(f"--from {first} lies after --to {last}.")
    if given is not None and given[0] < last:
        raise Stop(f"--block-hash is of block {given[0]}: it must be of block {last}, or of one after it.")


def _anchor(stored: Stored, last: int, given: tuple[int, bytes] | None) -> Anchor | None:
    """Returns the block that the headers must lead to: the one given, or the next that is stored and not far."""
    if given is not None:
        return Anchor(given[0], given[1], "given")
    near = stored.hash_at_or_after(last, last + ANCHOR_DISTANCE)
    return None if near is None else Anchor(near[0], near[1], "stored")


@asynccontextmanager
async def opened_node(settings: DatabaseSettings, urls: Sequence[str]) -> AsyncIterator[OpenedNode]:
    """Opens the database and the providers, which must be of its chain, and closes both."""
    engine, chain_id = open_database(settings)
    pool = Pool(urls)
    try:
        await pool.check_chain(chain_id)
        with reading(engine).begin() as connection:
            contracts = read_watch_set(connection, chain_id)
        yield OpenedNode(engine, pool, chain_id, contracts)
    finally:
        await pool.close()
        engine.dispose()
