"""`certindex rollback`: removes everything above a block."""

import asyncio

from indexer.commands.command import Command
from indexer.commands.options import block_number
from indexer.errors import Stop
from indexer.settings import DatabaseSettings


def _last_kept(value: str) -> int:
    return -1 if value == "-1" else block_number(value)


COMMAND = Command(
    "rollback",
    DatabaseSettings,
    lambda settings, options: rollback(settings, options.to),
    help="remove everything above a block",
    description="Removes everything above a block.",
    add_arguments=lambda parser: parser.add_argument(
        "--to", type=_last_kept, required=True, metavar="BLOCK", help="last block to keep; -1 removes block 0 too"
    ),
)


async def rollback(settings: DatabaseSettings, to: int) -> int:
    """Removes everything above a block. Raises Stop if nothing is stored above it."""
    from indexer.store.lease import Lease
    from indexer.stored_chain import open_database, read_chain

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
