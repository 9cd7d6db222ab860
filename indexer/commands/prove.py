"""`certindex prove`: writes the audit bundle of a device."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.commands.command import Command
from indexer.commands.options import add_out, write_document
from indexer.errors import Stop
from indexer.settings import ProveSettings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schema.bundle.document import Bundle, UnprovenEvent


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="DEVICE", help="token id or DID of the device")
    add_out(parser)


COMMAND = Command(
    "prove",
    ProveSettings,
    lambda settings, options: prove(settings, options.device, options.out),
    help="write the audit bundle of a device",
    description="Writes the audit bundle of a device: events, proofs, state. First proves what is not proven yet. "
    "Exit status 3 if events of the bundle are still not proven.",
    add_arguments=_add_arguments,
)


async def prove(settings: ProveSettings, device: str, out: Path | None) -> int:
    """Writes a device's bundle. Blocks that are not proven yet are verified first, with receipts from a node.

    Returns 3 if events of the bundle are still not proven.
    """
    from msgspec import UNSET

    from indexer.check.__main__ import INCOMPLETE, incomplete
    from indexer.check.bundle import Failed, check
    from indexer.opening import open_database
    from schema.bundle.document import to_json

    with open_database(settings) as (_, chain_id):
        bundle = _make_bundle(settings, chain_id, device)
    if bundle.unproven is not UNSET:
        await _verify_blocks(settings, bundle.unproven)
        bundle = _make_bundle(settings, chain_id, device)
    data = to_json(bundle)
    try:
        checked = check(data, {})
    except Failed as failure:
        raise Stop(
            f"The bundle of {device} would not pass its own check: {failure}. Stored data were changed. Run "
            "certindex rebuild to rewrite the derived rows, and certindex verify to rewrite headers and proofs."
        ) from None
    write_document(data + b"\n", out)
    if out is not None:
        print(f"{out}: {checked.did}, {checked.events} events in {checked.blocks} blocks, {len(data)} bytes")
    if checked.is_complete:
        return 0
    print("\n".join(incomplete(checked)), file=sys.stderr)
    return INCOMPLETE


def _make_bundle(settings: ProveSettings, chain_id: int, device: str) -> "Bundle":
    """Returns a device's bundle, read from one state of the database. Raises Stop."""
    from schema.bundle.making import make_bundle
    from schema.tables.damage import DamagedData
    from schema.tables.database import connect

    engine = connect(settings.database_url, read_only=True, pooler=settings.database_pooler)
    try:
        with engine.connect() as connection:
            contract, token_id = find_device(connection, chain_id, device)
            bundle = make_bundle(connection, chain_id, contract, token_id)
    except DamagedData as error:
        raise Stop(str(error)) from None
    finally:
        engine.dispose()
    assert bundle is not None
    return bundle


async def _verify_blocks(settings: ProveSettings, unproven: Sequence["UnprovenEvent"]) -> None:
    """Verifies the blocks of these events and stores their proofs. Raises Stop if stored events are wrong.

    Without a node, raises Stop if one could prove them; blocks that are not final are left for later.
    """
    from indexer.observe.status import verification_failures
    from indexer.opening import open_node
    from indexer.store.verification import VerificationStore
    from schema.bundle.unproven import Cause
    from schema.tables.database import read_only_engine
    from schema.vocabulary import FailureCause

    numbers = sorted({event.block_number for event in unproven})
    if settings.rpc_urls is None:
        final = sorted({event.block_number for event in unproven if event.cause is not Cause.NOT_FINAL})
        if not final:
            return
        raise Stop(
            f"{len(final)} blocks with events of the device are not verified yet, the first is block {final[0]}. "
            "Set RPC_URLS to fetch their receipts. Example: RPC_URLS=http://127.0.0.1:8545"
        )
    async with open_node(settings, settings.rpc_urls, settings.rpc_headers, settings.trust_bloom) as node:
        verifier = node.verifier(VerificationStore(node.engine, node.chain_id))
        for number in numbers:
            async for _, counts in verifier.verify(number, number):
                if counts.verified:
                    continue
                with read_only_engine(node.engine).begin() as connection:
                    (failure,) = verification_failures(connection, node.chain_id, number, number, 1)
                if failure.cause is FailureCause.WRONGLY_STORED:
                    raise Stop(f"Block {number} holds an event of the device and cannot be proven: {failure.reason}")


def find_device(connection: "Connection", chain_id: int, device: str) -> tuple[bytes, int]:
    """Returns contract and token id of the device with a DID or a token id. Raises Stop."""
    from sqlalchemy import text

    from schema.did import EXAMPLE, TokenDid, parse_did
    from schema.tables.values import uint256_bytes

    did = parse_did(device)
    if did is None and not re.fullmatch("[0-9]{1,78}", device):
        raise Stop(f'"{device}" names no device. Example: 42, or {EXAMPLE}')
    if did is not None and did.chain_id != chain_id:
        raise Stop(f"{device} is of chain {did.chain_id}, the database's chain is {chain_id}. Set CHAIN_ID.")
    token_id = int(device) if did is None else did.token_id
    rows = connection.execute(
        text("SELECT contract FROM device WHERE chain_id = :chain_id AND token_id = :token_id ORDER BY contract"),
        {"chain_id": chain_id, "token_id": uint256_bytes(token_id) if token_id < 2**256 else b""},
    )
    contracts = [bytes(contract) for (contract,) in rows]
    if did is not None:
        contracts = [contract for contract in contracts if contract == did.contract]
    if not contracts:
        raise Stop(f"Chain {chain_id} has no device {device}, as far as it is indexed.")
    if len(contracts) > 1:
        dids = ", ".join(str(TokenDid(chain_id, contract, token_id)) for contract in contracts)
        raise Stop(f"Token {token_id} is a device of several contracts; name one: {dids}")
    return contracts[0], token_id
