"""`transaction`: whether a transaction is indexed, and its events."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.paging.connections import Connection, ListQuery, many
from api.graphql.plan.fields import column
from api.graphql.types.blocks import Block, BlockRow
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.types.meta import ChainIdArgument
from api.graphql.vocabulary.scalars import BigInt, Bytes32, Long
from api.queries.events import EVENTS
from api.queries.sql.as_of import Pin
from api.queries.transactions import transactions


class TransactionRow(NamedTuple):
    """A transaction, with the pin at which its events are read."""

    pin: Pin
    chain_id: int
    hash: bytes
    transaction_index: int
    block: BlockRow

    @property
    def query(self) -> ListQuery:
        """The list of its events."""
        return ListQuery(EVENTS, filter=(("transaction_hash", (("eq", self.hash),)),))


@strawberry.type(description="A transaction that emitted at least one log of a watched contract.")
class IndexedTransaction:
    hash: Bytes32 = column("The hash of the transaction.")
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    block: Block = column("The block that contains the transaction.")
    index: Long = column("The index of the transaction in the block, from 0.", source="transaction_index")
    events: Connection[LifecycleEvent] = many(
        "The events of the transaction, in the order of their logs, without UNMAPPED ones.", None, "query"
    )


def find_transaction(
    context: Context,
    rows: Sequence[Any],
    *,
    hash: Annotated[Bytes32, strawberry.argument(description="The hash of the transaction.")],
    chain_id: ChainIdArgument = UNSET,
) -> list[TransactionRow | None]:
    """Returns the transaction with a hash, None if it is not indexed. Raises BadUserInput if two networks have it."""
    pins = {pin.chain_id: pin for pin in context.snapshot.pins if chain_id in (None, UNSET, pin.chain_id)}
    found = context.read.now(transactions, list(pins), hash)
    if len(found) > 1:
        holders = " and ".join(str(row.chain_id) for row in found)
        raise BadUserInput(f"hash is 0x{hash.hex()}, which chains {holders} contain: give chainId.", Reason.AMBIGUOUS)
    return [next((_indexed(row, pins[row.chain_id]) for row in found), None)]


def _indexed(row: Any, pin: Pin) -> TransactionRow:
    block = BlockRow(row.chain_id, row.number, row.hash, row.timestamp)
    return TransactionRow(pin, row.chain_id, row.transaction_hash, row.transaction_index, block)
