"""`certindex rollback`: removes everything above a block."""

import argparse
import asyncio

from indexer.commands.options import Commands, block_number
from indexer.commands.start import start
from indexer.errors import Stop
from indexer.settings import DatabaseSettings
from schema.program.settings import add_options


def add_command(commands: Commands) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "rollback", help="remove everything above a block", description="Removes everything above a block."
    )
    parser.add_argument("--to", type=block_number, required=True, metavar="BLOCK", help="last block to keep")
    add_options(parser, DatabaseSettings)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    return asyncio.run(rollback(start(DatabaseSettings, options), options.to))


async def rollback(settings: DatabaseSettings, to: int) -> int:
    """Removes everything above a block. Raises Stop if nothing is stored above it."""
    from indexer.opening import open_database, read_chain
    from indexer.store.lease import Lease

    with open_database(settings) as (engine, chain_id):
        lease = Lease(engine, chain_id)
        async with lease.held():
            store = read_chain(engine, chain_id).store(lease)
            before = store.checkpoint()
            if to >= before.number:
                raise Stop(f"--to {to}: chain {chain_id} is indexed to block {before.number}; nothing is stored above.")
            kept, counts = await asyncio.to_thread(store.roll_back_to, before, to)
    print(
        f"rolled back chain={chain_id} from={before.number} to={kept.number} events={counts.events}"
        + ("" if kept.number == to else f" (block {kept.number} is the last stored one at or below {to})")
    )
    return 0
