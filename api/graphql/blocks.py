"""A block, as answers tell of it."""

from datetime import datetime

import strawberry

from api.graphql.context import Info
from api.graphql.fields import field
from api.graphql.scalars import BigInt, Bytes32, block_time
from api.graphql.vocabulary import Finality
from api.queries.pins import BlockPoint


@strawberry.type(description="A block; that of an event which a reorg took back is ORPHANED, all others canonical.")
class Block:
    orphaned: strawberry.Private[bool]
    number: BigInt = strawberry.field(description="Height, from 0.")
    hash: Bytes32 = strawberry.field(description="Names the block on every branch.")
    timestamp: datetime = strawberry.field(description="When it was made, by its header.")
    chain_id: BigInt = strawberry.field(description="The network, by EIP-155.")

    @field("How far it is from being taken back by a reorg.")
    def finality(self, info: Info) -> Finality:
        return Finality.ORPHANED if self.orphaned else info.context.finality(self.chain_id, self.number)


def to_block(block: BlockPoint, *, orphaned: bool = False) -> Block:
    """Returns the block of a pin or of a row."""
    return Block(
        orphaned=orphaned,
        number=BigInt(block.number),
        hash=Bytes32(block.hash),
        timestamp=block_time(block.time),
        chain_id=BigInt(block.chain_id),
    )
