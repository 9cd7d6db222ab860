"""`asOf`: the points at which the root fields are read."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, NotReady, Reason
from api.graphql.vocabulary.scalars import BigInt, Bytes32, block_time, rfc_3339
from api.queries.blocks import block_at_or_below, block_at_time, blocks_with_hashes, were_orphaned
from api.queries.sql.as_of import BlockPoint, Pin, before_all_blocks, pin_at
from api.queries.sql.times import seconds_down
from schema.times import utc_text


@strawberry.input(
    one_of=True,
    description="The point at which the request is read; by default the newest indexed block. A point beyond "
    "that block is refused with BAD_USER_INPUT. `block` is refused (reason AMBIGUOUS) if several "
    "networks are indexed.",
)
class AsOf:
    block: BigInt | None = strawberry.field(
        default=UNSET,
        description="The state after this block. If its header is not stored because no event is in it, the last "
        "stored block at or before it is used; `Device.asOf` shows it.",
    )
    block_hash: Bytes32 | None = strawberry.field(
        default=UNSET,
        description="The state after the canonical block with this hash. A block that a reorg removed is refused "
        "(reason ORPHANED), and so is one whose header is not stored.",
    )
    timestamp: datetime | None = strawberry.field(
        default=UNSET,
        description="The state after the last block at or before this instant. Expiries are compared with the "
        "instant itself.",
    )


AsOfArgument = Annotated[
    AsOf | None,
    strawberry.argument(description="The point at which the field is read; by default the newest indexed block."),
]
AtInstant = Annotated[
    datetime | None, strawberry.argument(description="The instant to judge. Events recorded after it do not count.")
]


def pins_at(context: Context, as_of: AsOf | None) -> tuple[Pin, ...]:
    """Returns the point of each chain that an `asOf` names, by default that of the snapshot. Raises BadUserInput."""
    if as_of is None or as_of is UNSET:
        return context.snapshot.pins
    if as_of.block is not None and as_of.block is not UNSET:
        return (_pin_at_number(context, as_of.block),)
    if as_of.block_hash is not None and as_of.block_hash is not UNSET:
        return (_pin_at_hash(context, as_of.block_hash),)
    if as_of.timestamp is not None and as_of.timestamp is not UNSET:
        return _pins_at_time(context, as_of.timestamp)
    raise BadUserInput("asOf is empty: give it a block, a blockHash or a timestamp, or leave it out.")


def _pin_at_number(context: Context, number: int) -> Pin:
    pins = context.snapshot.pins
    if len(pins) != 1:
        raise BadUserInput(
            f"asOf.block is {number}, and {len(pins)} networks are indexed: give a blockHash or a timestamp.",
            Reason.AMBIGUOUS,
        )
    now = pins[0]
    if now.block is None or not 0 <= number <= now.block.number:
        raise BadUserInput(f"asOf.block is {number}: blocks 0 to {now.block.number if now.block else 0} are indexed.")
    block = context.read.now(block_at_or_below, now.chain_id, number)
    return before_all_blocks(now.chain_id, 0) if block is None else pin_at(block, explicit=True)


def _pin_at_hash(context: Context, hash: bytes) -> Pin:
    chain_ids = list(context.snapshot.chains)
    for chain_id in chain_ids:
        block = context.read.each(blocks_with_hashes, [(chain_id, hash)])[0]
        if block is not None:
            return pin_at(block, explicit=True)
    for chain_id in chain_ids:
        if context.read.each(were_orphaned, [(chain_id, hash)])[0]:
            raise BadUserInput(
                f"asOf.blockHash is 0x{hash.hex()}, a block that a reorg removed: use asOf.block with its number.",
                Reason.ORPHANED,
            )
    raise BadUserInput(
        f"asOf.blockHash is 0x{hash.hex()}, a block that is not stored: blocks without events are stored only until "
        "they are finalized. Use asOf.block or asOf.timestamp."
    )


def _pins_at_time(context: Context, instant: datetime) -> tuple[Pin, ...]:
    seconds = seconds_down(instant)
    pins = []
    for now in context.snapshot.pins:
        if now.block is None or instant.timestamp() > block_time(now.block.time):
            raise BadUserInput(
                f"asOf.timestamp is {utc_text(instant)}, later than the newest indexed block of chain {now.chain_id}"
                + (f", {rfc_3339(block_time(now.block.time))}." if now.block else ".")
            )
        block = context.read.now(block_at_time, now.chain_id, seconds)
        pins.append(
            before_all_blocks(now.chain_id, seconds) if block is None else pin_at(block, seconds, explicit=True)
        )
    return tuple(pins)


def check_canonical(context: Context, pins: tuple[Pin, ...]) -> None:
    """Raises BadUserInput (STALE_CURSOR) if the block of a pin is no longer canonical, and NotReady."""
    for pin in pins:
        if pin.block is not None and not is_canonical(context, pin.block):
            refuse_if_behind(context, pin.chain_id, pin.block.number)
            raise BadUserInput(
                f"The cursor is of block {pin.block.number} (0x{pin.block.hash.hex()}), which is no longer in the "
                "indexed chain: start again without it.",
                Reason.STALE_CURSOR,
            )


def refuse_if_behind(context: Context, chain_id: int, number: int) -> None:
    """Raises NotReady if a block that is not known may be one that this replica of the database does not have yet."""
    if context.read.now(lambda _: context.snapshot.may_be_behind(chain_id, number)):
        raise NotReady(
            f"Block {number} of chain {chain_id} is not known to this replica of the database, which may lag: send the "
            "request again later."
        )


def is_canonical(context: Context, block: BlockPoint) -> bool:
    """Returns whether the block of an id or a cursor is still canonical."""
    chain = context.snapshot.chains.get(block.chain_id)
    if chain is None:
        return False
    if (block.number, block.hash) == (chain.indexed_number, chain.indexed_hash):
        return True
    return context.read.is_canonical(block)
