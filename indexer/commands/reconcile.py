"""`certindex reconcile`: compares the index with what the contracts return."""

import argparse
import random

from indexer.commands.command import Command
from indexer.commands.options import device_count
from indexer.errors import Stop
from indexer.settings import NodeSettings


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument(
        "--sample", type=device_count, metavar="N", help="compare N devices, chosen at random; default: all"
    )
    scope.add_argument(
        "--complete",
        action="store_true",
        help="read from the contracts the values that old events lack, store them, fold all events again",
    )


COMMAND = Command(
    "reconcile",
    NodeSettings,
    lambda settings, options: _execute(settings, options),
    help="compare the index with what the contracts return",
    description="Compares owner, address, manufacturer and claim of devices with what the contracts return at the "
    "indexed block.",
    add_arguments=_add_arguments,
)


async def _execute(settings: NodeSettings, options: argparse.Namespace) -> int:
    if options.complete:
        from indexer.commands.complete import complete

        return await complete(settings)
    return await reconcile(settings, sample=options.sample)


async def reconcile(settings: NodeSettings, *, sample: int | None) -> int:
    """Compares devices, all or a random sample, with the contracts at the indexed block. Returns 1 if they differ."""
    from indexer.opening import open_node
    from indexer.store.checkpoint import read_checkpoint
    from indexer.verification.contract_answers import differences, indexed_devices, indexed_manufacturers
    from schema.profile.calls import CallField
    from schema.tables.database import read_only_engine

    async with open_node(settings, settings.rpc_urls, settings.rpc_headers) as node:
        reader = node.reader
        if not {CallField.OWNER, CallField.ADDRESS, CallField.CLAIMED, CallField.MANUFACTURER} & reader.calls.keys():
            raise Stop(f"The profile {node.profile.name!r} has no [[call]] by which a device could be compared.")
        # where a role has several addresses, calls go to the first
        owner = reader.calls.get(CallField.OWNER)
        contracts = frozenset(reader.device_contracts if owner is None else {owner.to})
        with read_only_engine(node.engine).begin() as connection:
            block_number = read_checkpoint(connection, node.chain_id).number
            devices = indexed_devices(connection, node.chain_id, contracts)
            manufacturers = indexed_manufacturers(connection, node.chain_id)
        compared = devices if sample is None or sample >= len(devices) else random.sample(devices, sample)
        differing = await differences(node.pool, reader, [*compared, *manufacturers], block_number)
    for difference in differing:
        print(difference)
    print(
        f"reconciled chain={node.chain_id} block={block_number} devices={len(compared)} of={len(devices)} "
        f"manufacturers={len(manufacturers)} differences={len(differing)}"
    )
    return 1 if differing else 0
