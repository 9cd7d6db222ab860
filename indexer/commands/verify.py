"""`certindex verify`: rebuilds the receipts of blocks with events."""

import sys

from indexer.commands.command import Command
from indexer.commands.options import add_range, check_indexed
from indexer.errors import Stop
from indexer.settings import VerifySettings

SHOWN_FAILURES = 20


COMMAND = Command(
    "verify",
    VerifySettings,
    lambda settings, options: verify(settings, options.first, options.last),
    help="rebuild the receipts of blocks with events",
    description="Rebuilds receipts root, bloom and header hash of blocks with events, and finds the logs there.",
    add_arguments=add_range,
)


async def verify(settings: VerifySettings, first: int | None, last: int | None) -> int:
    """Verifies the blocks with events from first to last; by default all that are indexed and final."""
    from indexer.observe.status import verification_failures
    from indexer.opening import open_node
    from indexer.store.checkpoint import read_checkpoint
    from indexer.store.verification import VerificationStore
    from indexer.verification.verifier import VerificationCounts
    from schema.tables.database import read_only_engine

    async with open_node(settings, settings.rpc_urls, settings.rpc_headers, settings.trust_bloom) as node:
        levels = VerificationStore(node.engine, node.chain_id, keep_proofs=settings.keep_proofs)
        start = 0 if first is None else first
        end = levels.progress().final if last is None else last
        with read_only_engine(node.engine).begin() as connection:
            check_indexed(node.chain_id, end, read_checkpoint(connection, node.chain_id).number)
        if first is not None and first > end:
            raise Stop(
                f"--from {first} lies after {f'block {end}, the last final one' if last is None else f'--to {last}'}."
            )
        total = VerificationCounts()
        async for number, counts in node.verifier(levels).verify(start, end):
            total.add(counts)
            print(f"judged to block {number}: {total.verified} of {total.blocks} verified", file=sys.stderr)
        with read_only_engine(node.engine).begin() as connection:
            failures = verification_failures(connection, node.chain_id, start, end, SHOWN_FAILURES)
    for failure in failures:
        print(f"block {failure.number}: {failure.cause.name}: {failure.reason}")
    print(
        f"verified chain={node.chain_id} blocks={total.verified} events={total.events} "
        f"unverifiable={total.unverifiable} alarms={total.alarms}"
    )
    return 0 if total.verified == total.blocks else 1
