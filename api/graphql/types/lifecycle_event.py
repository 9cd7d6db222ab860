"""The interface of all events: what every log has, whatever it recorded."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import IntEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.inputs.filters import LifecycleEventFilter, to_filter
from api.graphql.inputs.orders import OLDEST_FIRST, LifecycleEventOrder
from api.graphql.paging.connections import ListQuery
from api.graphql.paging.tokens import AsOfPoint, EventId
from api.graphql.plan.fields import column, computed, of, one, value
from api.graphql.types.blocks import Block, block_of_event, finalities
from api.graphql.types.node import Node, node_id
from api.graphql.types.proofs import InclusionProof, ProvableLog, to_proof, topics_of
from api.graphql.vocabulary.enums import Finality
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes, Bytes32, Long, block_time, date_time
from api.queries.devices import DEVICE
from api.queries.events import EVENT, EVENT_ORDERS
from api.queries.proofs import proofs, verification_notes
from api.queries.recorded import log_index_of
from api.queries.sql import tables
from api.queries.sql.listings import Listing
from api.queries.tokens import Token, tokens_of
from schema.bundle.unproven import cause_of, explain, provable_at
from schema.did import TokenDid
from schema.events import AboutDevice, Kind
from schema.profile.reader import DecodedEvent, Mapped
from schema.tables.damage import DamagedData
from schema.tables.values import block_of, offset_of
from schema.vocabulary import BizStep, Disposition, EpcisAction, EventFlag, VerificationLevel

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.type(description="A log as the node returned it.")
class RawLog:
    topics: list[Bytes32] = strawberry.field(
        description="The hash of the event's signature first, then the indexed arguments; at most 4."
    )
    data: Bytes = strawberry.field(description="The arguments that are not indexed, ABI-encoded.")


LazyDevice = Annotated["Device", strawberry.lazy("api.graphql.types.devices")]
EventFilterBy = Annotated[
    LifecycleEventFilter | None, strawberry.argument(description="Returns only events that pass this filter.")
]
EventOrderBy = Annotated[LifecycleEventOrder | None, strawberry.argument(description="The order of the list.")]


def history_of(listing: Listing) -> Callable[..., ListQuery]:
    """Returns the listing of the events of a row, whose arguments are those of the field."""

    def query(*, filter_by: EventFilterBy = UNSET, order_by: EventOrderBy = OLDEST_FIRST) -> ListQuery:
        return ListQuery(listing, EVENT_ORDERS[(order_by or OLDEST_FIRST).key], to_filter(filter_by))

    return query


def _verification_notes(context: Context, events: Sequence[tuple[int, int, int, bool]]) -> list[str | None]:
    blocks = [
        None if orphaned or level == VerificationLevel.RECEIPTS else (chain_id, block_of(position))
        for chain_id, position, level, orphaned in events
    ]
    named = [block for block in blocks if block is not None]
    failures = dict(zip(named, context.read.each(verification_notes, named), strict=True))
    return [None if block is None else failures[block] or _why_unverified(context, *block) for block in blocks]


def _why_unverified(context: Context, chain_id: int, number: int) -> str:
    final = context.snapshot.final_numbers[chain_id]
    cause = cause_of(number, final, None)
    return explain(cause, number, provable_at(cause, number, context.snapshot.chains[chain_id].indexed_number, final))


def _proofs(context: Context, events: Sequence[tuple[Any, ...]]) -> list[InclusionProof | DamagedData | None]:
    logs = list(map(ProvableLog._make, events))
    places = [(log.chain_id, block_of(log.position), log.transaction_index) for log in logs]
    return list(map(to_proof, logs, context.read.each(proofs, places)))


def _finalities(context: Context, events: Sequence[tuple[int, int, bool]]) -> list[Finality]:
    return finalities(context, [(chain_id, block_of(position), orphaned) for chain_id, position, orphaned in events])


def _action(kind: int, step: int | None) -> EpcisAction | None:
    if step is None:
        return None
    if step == BizStep.commissioning:
        return EpcisAction.ADD
    # an end-of-life step may have the business step of a burn too, but is OBSERVE
    burns = step == BizStep.decommissioning and kind in (Kind.DEVICE_TRANSFERRED, Kind.DEVICE_BURNED)
    return EpcisAction.DELETE if burns or step == BizStep.destroying else EpcisAction.OBSERVE


def _word(words: type[IntEnum]) -> Callable[[int | None], str | None]:
    names = {member.value: member.name for member in words}
    return lambda code: None if code is None else names[code]


def _device_dids(context: Context, events: Sequence[tuple[int, DecodedEvent, int | None]]) -> list[str | None]:
    """Returns the DIDs of devices: by the token in the log, or if it has an address, by the device that it means."""
    by_address = [
        (chain_id, id)
        for chain_id, reading, id in events
        if id is not None and isinstance(reading, Mapped) and reading.contracts.by_address
    ]
    tokens = dict(zip(by_address, context.read.each(_TOKENS, by_address), strict=True))
    return [_device_did(chain_id, reading, tokens.get((chain_id, id or 0))) for chain_id, reading, id in events]


_TOKENS = partial(tokens_of, table=tables.device)


def _device_did(chain_id: int, reading: DecodedEvent, token: Token | None) -> str | None:
    if not isinstance(reading, Mapped) or not isinstance(reading.fact, AboutDevice):
        return None
    if not reading.contracts.by_address:
        token = (chain_id, reading.contracts.device, reading.fact.token_id)
    return None if token is None else TokenDid(*token).checksummed


def _raw(topics: bytes, data: bytes) -> RawLog:
    return RawLog(topics=list(map(Bytes32, topics_of(topics))), data=Bytes(data))


@cache
def flags_of(bits: int) -> list[EventFlag]:
    """Returns the flags that a stored bit set contains, lowest bit first."""
    return list(EventFlag(bits))


@strawberry.interface(
    description="One log of a watched contract, or one item of a log that names several devices. The id contains the "
    "hash of the block, so it names one event on one branch of the chain."
)
@of(EVENT, by="kind")
class LifecycleEvent(Node):
    id: strawberry.ID = node_id(
        lambda pin, chain_id, block_hash, position: EventId(
            chain_id, block_hash, offset_of(position), AsOfPoint.of_pin(pin)
        ),
        "chain_id",
        "block_hash",
        "position",
    )
    kind: Kind = column("The kind of fact that the event recorded.", Kind)
    device: LazyDevice | None = one(
        "The device that the event is about. Null for events of manufacturers, licenses and vehicles, and if "
        "the log does not identify a device.",
        DEVICE,
        "device_id",
    )
    device_did: str | None = computed(
        "The DID of the device that the log names, also if a reorg removed the device itself, unless the log names it "
        "by its address. Null where `device` is null for another reason.",
        _device_dids,
        "chain_id",
        "reading",
        "device_id",
        name="deviceDID",
    )
    event_time: datetime | None = column(
        "The time at which it happened, according to the emitter. Null if the event does not state a time, "
        "or states one after the year 9999.",
        date_time,
    )
    event_time_seconds: BigInt | None = value(
        "`eventTime` as the emitter wrote it, in unix seconds. Null if the event does not state a time.",
        lambda reading: reading.fact.event_time if isinstance(reading, Mapped) else None,
        "reading",
    )
    record_time: datetime = column("The timestamp of the block.", block_time, source="block_time")
    action: EpcisAction | None = value(
        "The EPCIS 2.0 action; see docs/how-it-works/meaning.md. Null for grants and licenses.",
        _action,
        "kind",
        "biz_step",
    )
    biz_step: str | None = column(
        "The EPCIS business step, a CBV 2.0 word in lower case; see docs/how-it-works/meaning.md. Null for "
        "grants and licenses.",
        _word(BizStep),
    )
    disposition: str | None = column(
        "The EPCIS disposition, the state of the device after the event: a CBV 2.0 word in lower case; see "
        "docs/how-it-works/meaning.md. Null if the event does not change it.",
        _word(Disposition),
    )
    flags: list[EventFlag] = column(
        "The contradictions between the event and what was recorded before it. Empty if there are none.", flags_of
    )
    block: Block = value(
        "The block that contains the event.",
        block_of_event,
        "chain_id",
        "position",
        "block_hash",
        "block_time",
        "orphaned",
    )
    transaction_hash: Bytes32 = column("The hash of the transaction that emitted the event.")
    transaction_index: Long = column("The index of the transaction in the block, from 0.")
    log_index: Long = value(
        "The index of the log in the block (not in the transaction), from 0.",
        log_index_of,
        "position",
        "wide_log_index",
    )
    item: Long = column(
        "The index of the event among those of its log, from 0: a log with arrays of devices has one event for each."
    )
    contract: Address = column("The address of the contract that emitted the event.", source="address")
    verification: VerificationLevel = column(
        "How well it is verified that the block contains the log.", VerificationLevel, source="level"
    )
    verification_note: str | None = computed(
        "Why the block is not verified to RECEIPTS: it is not final yet, and about when it will be; it waits; or what "
        "failed. Null if the block is verified, or orphaned.",
        _verification_notes,
        "chain_id",
        "position",
        "level",
        "orphaned",
    )
    proof: InclusionProof | None = computed(
        "The Merkle-Patricia proof that the block contains the log. Null below RECEIPTS, and if proofs are not stored.",
        _proofs,
        *ProvableLog._fields,
    )
    finality: Finality = computed(
        "How likely a reorg is to remove the block.", _finalities, "chain_id", "position", "orphaned"
    )
    raw: RawLog = value("The log itself, for clients that decode it.", _raw, "topics", "data")
