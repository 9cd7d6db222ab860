"""The block type."""

from datetime import datetime

import strawberry

from api.graphql.context import Info
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import BigInt, Bytes32, block_time
from api.queries.sql.as_of import BlockPoint


@strawberry.type(
    description="A block. The block of an orphaned event has the finality ORPHANED; every other block is canonical."
)
class Block:
    block: strawberry.Private[BlockPoint]
    orphaned: strawberry.Private[bool]
    number: BigInt = derived("The height of the block, from 0.", lambda self: BigInt(self.block.number))
    hash: Bytes32 = derived(
        "The hash of the block header. It identifies the block on every branch.", lambda self: Bytes32(self.block.hash)
    )
    timestamp: datetime = derived("The timestamp of the block header.", lambda self: block_time(self.block.time))
    chain_id: BigInt = derived("The EIP-155 chain id of the network.", lambda self: BigInt(self.block.chain_id))

    @field("How likely a reorg is to remove the block.")
    def finality(self, info: Info) -> Finality:
        return Finality.ORPHANED if self.orphaned else info.context.finality(self.block.chain_id, self.block.number)


def to_block(block: BlockPoint, *, orphaned: bool = False) -> Block:
    """Returns the GraphQL block of a block point."""
    return Block(block=block, orphaned=orphaned)
