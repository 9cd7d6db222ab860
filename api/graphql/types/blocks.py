"""The block type."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import strawberry

from api.graphql.context import Context
from api.graphql.plan.fields import column, computed
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.scalars import BigInt, Bytes32, block_time
from api.queries.sql.as_of import BlockPoint, Pin
from schema.tables.values import block_of


class BlockRow(NamedTuple):
    """A block of a chain. `time` is in unix seconds."""

    chain_id: int
    number: int
    hash: bytes
    time: int
    orphaned: bool = False


def finalities(context: Context, blocks: Sequence[tuple[int, int, bool]]) -> list[Finality]:
    """Returns the finality of each block, by chain id, number, and whether a reorg removed it."""
    return [
        Finality.ORPHANED if orphaned else context.finality(chain_id, number) for chain_id, number, orphaned in blocks
    ]


@strawberry.type(
    description="A block. The block of an orphaned event has the finality ORPHANED; every other block is canonical."
)
class Block:
    number: BigInt = column("The height of the block, from 0.")
    hash: Bytes32 = column("The hash of the block header. It identifies the block on every branch.")
    timestamp: datetime = column("The timestamp of the block header.", block_time, source="time")
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    finality: Finality = computed(
        "How likely a reorg is to remove the block.", finalities, "chain_id", "number", "orphaned"
    )


def to_block(block: BlockPoint) -> BlockRow:
    """Returns the row of a canonical block."""
    return BlockRow(*block)


def block_of_pin(pin: Pin) -> BlockRow:
    """Returns the block at which an object is read."""
    if pin.block is None:
        raise LookupError(f"an object of chain {pin.chain_id} is read before its first block")
    return to_block(pin.block)


def block_of_event(chain_id: int, position: int, hash: bytes, time: int, orphaned: bool) -> BlockRow:
    """Returns the block of an event."""
    return BlockRow(chain_id, block_of(position), hash, time, orphaned)
