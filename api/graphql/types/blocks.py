"""A block, as answers tell of it."""

from datetime import datetime

import strawberry

from api.graphql.context import Info
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import BigInt, Bytes32, block_time
from api.queries.sql.as_of import BlockPoint


@strawberry.type(description="A block; that of an event which a reorg took back is ORPHANED, all others canonical.")
class Block:
    block: strawberry.Private[BlockPoint]
    orphaned: strawberry.Private[bool]
    number: BigInt = derived("Height, from 0.", lambda self: BigInt(self.block.number))
    hash: Bytes32 = derived("Names the block on every branch.", lambda self: Bytes32(self.block.hash))
    timestamp: datetime = derived("When it was made, by its header.", lambda self: block_time(self.block.time))
    chain_id: BigInt = derived("The network, by EIP-155.", lambda self: BigInt(self.block.chain_id))

    @field("How far it is from being taken back by a reorg.")
    def finality(self, info: Info) -> Finality:
        return Finality.ORPHANED if self.orphaned else info.context.finality(self.block.chain_id, self.block.number)


def to_block(block: BlockPoint, *, orphaned: bool = False) -> Block:
    """Returns the block of a pin or of a row."""
    return Block(block=block, orphaned=orphaned)
