"""`certindex prove`: writes the audit bundle of a device, a vehicle or a synthetic device."""

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
    from schema.bundle.subjects import SubjectKind


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "subject", metavar="DEVICE", help="token id or DID of a device, or DID of a vehicle or synthetic device"
    )
    add_out(parser)


COMMAND = Command(
    "prove",
    ProveSettings,
    lambda settings, options: prove(settings, options.subject, options.out),
    help="write the audit bundle of a device or vehicle",
    description="Writes the audit bundle of a device, a vehicle or a synthetic device: events, proofs, state. First "
    "proves what is not proven yet. Exit status 3 if events of the bundle are still not proven.",
    add_arguments=_add_arguments,
)


async def prove(settings: ProveSettings, subject: str, out: Path | None) -> int:
    """Writes the bundle of a subject. Blocks that are not proven yet are verified first, with receipts from a node.

    Returns 3 if events of the bundle are still not proven.
    """
    from msgspec import UNSET

    from indexer.check.__main__ import INCOMPLETE, incomplete
    from indexer.check.bundle import Failed, check
    from indexer.stored_chain import open_database
    from schema.bundle.document import to_json

    with open_database(settings) as (_, chain_id):
        bundle = _make_bundle(settings, chain_id, subject)
    if bundle.unproven is not UNSET:
        await _verify_blocks(settings, bundle.unproven)
        bundle = _make_bundle(settings, chain_id, subject)
    data = to_json(bundle)
    try:
        checked = check(data, {})
    except Failed as failure:
        raise Stop(
            f"The bundle of {subject} would not pass its own check: {failure}. Stored data were changed. Run "
            "certindex rebuild to rewrite the derived rows, and certindex verify to rewrite headers and proofs."
        ) from None
    write_document(data + b"\n", out)
    if out is not None:
        print(f"{out}: {checked.did}, {checked.events} events in {checked.blocks} blocks, {len(data)} bytes")
    if checked.is_complete:
        return 0
    print("\n".join(incomplete(checked)), file=sys.stderr)
    return INCOMPLETE


def _make_bundle(settings: ProveSettings, chain_id: int, subject: str) -> "Bundle":
    """Returns the bundle of a subject, read from one state of the database. Raises Stop."""
    from schema.bundle.making import make_bundle
    from schema.tables.damage import DamagedData
    from schema.tables.database import connect

    engine = connect(settings.database_url, read_only=True, pooler=settings.database_pooler)
    try:
        with engine.connect() as connection:
            bundle = make_bundle(connection, chain_id, *find_subject(connection, chain_id, subject))
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
            f"{len(final)} blocks with events of the bundle are not verified yet, the first is block {final[0]}. "
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
                    raise Stop(f"Block {number} holds an event of the bundle and cannot be proven: {failure.reason}")


def find_subject(connection: "Connection", chain_id: int, subject: str) -> "tuple[bytes, int, SubjectKind]":
    """Returns contract, token id and kind of what a DID names, or of the device with a token id. Raises Stop."""
    from sqlalchemy import text

    from schema.bundle.subjects import DEVICE, SUBJECTS
    from schema.did import EXAMPLE, TokenDid, parse_did
    from schema.tables.values import uint256_bytes

    did = parse_did(subject)
    if did is None and not re.fullmatch("[0-9]{1,78}", subject):
        raise Stop(f'"{subject}" names no device. Example: 42, or {EXAMPLE}')
    if did is not None and did.chain_id != chain_id:
        raise Stop(f"{subject} is of chain {did.chain_id}, the database's chain is {chain_id}. Set CHAIN_ID.")
    token_id = int(subject) if did is None else did.token_id
    subjects: list[tuple[bytes, int, SubjectKind]] = []
    for kind in [DEVICE] if did is None else SUBJECTS.values():
        rows = connection.execute(
            text(f"SELECT contract FROM {kind.name} WHERE chain_id = :chain_id AND token_id = :token_id ORDER BY 1"),
            {"chain_id": chain_id, "token_id": uint256_bytes(token_id) if token_id < 2**256 else b""},
        )
        subjects += [(bytes(contract), token_id, kind) for (contract,) in rows]
    if did is not None:
        subjects = [each for each in subjects if each[0] == did.contract]
    if not subjects:
        noun = "device" if did is None else "device, vehicle or synthetic device"
        raise Stop(f"Chain {chain_id} has no {noun} {subject}, as far as it is indexed.")
    if len(subjects) > 1:
        dids = ", ".join(str(TokenDid(chain_id, contract, token_id)) for contract, *_ in subjects)
        raise Stop(f"Token {token_id} is a device of several contracts; name one: {dids}")
    return subjects[0]
