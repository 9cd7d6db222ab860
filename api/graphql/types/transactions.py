"""`transaction`: whether a transaction is indexed, and its events."""

from typing import Any

import strawberry
from sqlalchemy import Row

from api.graphql.context import Context, Info
from api.graphql.errors import BadUserInput, Reason
from api.graphql.paging.arguments import PageArguments, connection_field
from api.graphql.paging.connections import Connection, ListQuery
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.event_rows import connect_events
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import from_row
from api.graphql.vocabulary.scalars import BigInt, Bytes32, Long
from api.queries.events import EVENTS
from api.queries.sql.as_of import BlockPoint, Pin
from api.queries.sql.pages import BY_POSITION
from api.queries.transactions import transactions


@strawberry.type(description="A transaction that emitted at least one log of a watched contract.")
class IndexedTransaction:
    row: strawberry.Private[Row[Any]]
    pin: strawberry.Private[Pin]
    hash: Bytes32 = from_row("The hash of the transaction.", Bytes32, source="transaction_hash")
    chain_id: BigInt = from_row("The EIP-155 chain id of the network.", BigInt)
    block: Block = strawberry.field(description="The block that contains the transaction.")
    index: Long = from_row("The index of the transaction in the block, from 0.", Long, source="transaction_index")

    @connection_field("The events of the transaction, in the order of their logs, without UNMAPPED ones.")
    async def events(self, info: Info, page: PageArguments) -> Connection[LifecycleEvent]:
        of_transaction = (("transaction_hash", (("eq", self.hash),)),)
        query = ListQuery(EVENTS, BY_POSITION, filter=of_transaction)
        return await connect_events(info, query, page, (self.pin,))


async def find_transaction(context: Context, hash: bytes, chain_id: int | None) -> IndexedTransaction | None:
    """Returns the transaction with a hash, None if it is not indexed. Raises BadUserInput if two networks have it."""
    pins = {pin.chain_id: pin for pin in context.snapshot.pins if chain_id is None or pin.chain_id == chain_id}
    rows = await context.runner.read(transactions, list(pins), hash)
    if len(rows) > 1:
        holders = " and ".join(str(row.chain_id) for row in rows)
        raise BadUserInput(f"hash is 0x{hash.hex()}, which chains {holders} contain: give chainId.", Reason.AMBIGUOUS)
    return _indexed(rows[0], pins[rows[0].chain_id]) if rows else None


def _indexed(row: Row[Any], pin: Pin) -> IndexedTransaction:
    block = to_block(BlockPoint(row.chain_id, row.number, row.hash, row.timestamp))
    return IndexedTransaction(row=row, pin=pin, block=block)
