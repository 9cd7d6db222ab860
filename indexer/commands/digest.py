"""`certindex digest`: prints the digest of all events, by which two deployments compare theirs."""

import argparse

from indexer.commands.command import Command
from indexer.commands.options import block_number, check_indexed
from indexer.settings import DatabaseSettings


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", dest="last", type=block_number, metavar="BLOCK", help="last block; default: the last indexed one"
    )
    parser.add_argument("--stored", action="store_true", help="print the stored digest without recomputing it")


COMMAND = Command(
    "digest",
    DatabaseSettings,
    lambda settings, options: digest(settings, options.last, recompute=not options.stored),
    help="print the digest of all events, to compare two deployments",
    description="Prints the digest of all stored events, recomputed from them. Equal digests mean equal events.",
    add_arguments=_add_arguments,
)


def digest(settings: DatabaseSettings, to: int | None, *, recompute: bool) -> int:
    """Prints the digest of the events up to block `to`. Returns 1 if a stored digest does not fit the stored events."""
    from indexer.store.checkpoint import read_checkpoint
    from indexer.store.event_ranges import EventRanges
    from indexer.store.watch_set import first_block, read_watch_set
    from indexer.stored_chain import open_database
    from indexer.verification.stored_digests import Unattestable, recomputed_digests
    from schema.tables.database import read_only_engine

    with open_database(settings) as (engine, chain_id):
        with read_only_engine(engine).begin() as connection:
            indexed = read_checkpoint(connection, chain_id).number
            first = first_block(read_watch_set(connection, chain_id))
        last = indexed if to is None else to
        check_indexed(chain_id, last, indexed)
        stored = EventRanges(engine, chain_id)
        try:
            for number, kept, made in recomputed_digests(stored, first, last) if recompute else ():
                if kept != made:
                    print(
                        f"FAIL block {number}: its stored digest is 0x{kept.hex()}, the stored events make it "
                        f"0x{made.hex()}: events of it, or of a block before it, were changed"
                    )
                    return 1
        except Unattestable as error:
            print(f"FAIL {error}")
            return 1
        print(f"chain={chain_id} block={last} digest=0x{stored.digest_before(last + 1).hex()}")
    return 0
