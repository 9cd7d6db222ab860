"""The interface of all events: what every log has, whatever it recorded."""

from datetime import datetime
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.graphql.context import Info
from api.graphql.paging.tokens import AsOfPoint, EventId
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.node import Node
from api.graphql.types.proofs import InclusionProof, to_proof
from api.graphql.vocabulary.fields import derived, field, from_row, resolved
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes, Bytes32, Long, block_time, date_time, to_big_int
from api.queries.recorded import Finality, RecordedEvent
from schema.bundle.unproven import cause_of, explain, provable_at
from schema.events import Kind
from schema.profile.reader import DecodedLog, Mapped
from schema.vocabulary import NO_WORDS, EpcisAction, EpcisWords, EventFlag, VerificationLevel

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.type(description="A log as the node returned it.")
class RawLog:
    topics: list[Bytes32] = strawberry.field(
        description="The hash of the event's signature first, then the indexed arguments; at most 4."
    )
    data: Bytes = strawberry.field(description="The arguments that are not indexed, ABI-encoded.")


LazyDevice = Annotated["Device", strawberry.lazy("api.graphql.types.devices")]


async def _device(self: "LifecycleEvent", info: Info) -> LazyDevice | None:
    from api.graphql.types.devices import load_device

    return None if self.row.device_id is None else await load_device(info.context, self.pin, self.row.device_id)


async def _verification_note(self: "LifecycleEvent", info: Info) -> str | None:
    if self.row.orphaned or self.row.level == VerificationLevel.RECEIPTS:
        return None
    chain, number = info.context.snapshot.chains[self.row.chain_id], self.row.block_number
    failure = await info.context.loaders.verification_note.load((self.row.chain_id, number))
    if failure is not None:
        return failure
    final = info.context.snapshot.final_numbers[self.row.chain_id]
    cause = cause_of(number, final, None)
    return explain(cause, number, provable_at(cause, number, chain.indexed_number, final))


async def _proof(self: "LifecycleEvent", info: Info) -> InclusionProof | None:
    place = (self.row.chain_id, self.row.block_number, self.row.transaction_index)
    return to_proof(self.row, await info.context.loaders.proof.load(place))


@cache
def flags_of(bits: int) -> list[EventFlag]:
    """Returns the flags that a stored bit set contains, lowest bit first."""
    return list(EventFlag(bits))


@strawberry.interface(
    description="One log of a watched contract. The id contains the hash of the block, so it names one log on one "
    "branch of the chain."
)
class LifecycleEvent(Node):
    row: strawberry.Private[RecordedEvent]
    reading: strawberry.Private[DecodedLog]
    kind: Kind = from_row("The kind of fact that the event recorded.", Kind)
    device: LazyDevice | None = resolved(
        "The device that the event is about. Null for events of manufacturers, licenses and vehicles, and if "
        "the log does not identify a device.",
        _device,
    )
    event_time: datetime | None = derived(
        "The time at which it happened, according to the emitter. Null if the event does not state a time, "
        "or states one after the year 9999.",
        lambda event: date_time(event._seconds),
    )
    event_time_seconds: BigInt | None = derived(
        "`eventTime` as the emitter wrote it, in unix seconds. Null if the event does not state a time.",
        lambda event: to_big_int(event._seconds),
    )
    record_time: datetime = from_row("The timestamp of the block.", block_time, source="block_time")
    action: EpcisAction | None = derived(
        "The EPCIS 2.0 action; see docs/how-it-works/meaning.md. Null for grants and licenses.",
        lambda event: event._words[0],
    )
    biz_step: str | None = derived(
        "The EPCIS business step, a CBV 2.0 word in lower case; see docs/how-it-works/meaning.md. Null for "
        "grants and licenses.",
        lambda event: _word(event._words[1]),
    )
    disposition: str | None = derived(
        "The EPCIS disposition, the state of the device after the event: a CBV 2.0 word in lower case; see "
        "docs/how-it-works/meaning.md. Null if the event does not change it.",
        lambda event: _word(event._words[2]),
    )
    flags: list[EventFlag] = from_row(
        "The contradictions between the event and what was recorded before it. Empty if there are none.", flags_of
    )
    block: Block = derived(
        "The block that contains the event.", lambda event: to_block(event.row.block, orphaned=event.row.orphaned)
    )
    transaction_hash: Bytes32 = from_row("The hash of the transaction that emitted the event.", Bytes32)
    transaction_index: Long = from_row("The index of the transaction in the block, from 0.", Long)
    log_index: Long = from_row("The index of the log in the block (not in the transaction), from 0.", Long)
    contract: Address = from_row("The address of the contract that emitted the event.", Address, source="address")
    verification: VerificationLevel = from_row(
        "How well it is verified that the block contains the log.", VerificationLevel, source="level"
    )
    verification_note: str | None = resolved(
        "Why the block is not verified to RECEIPTS: it is not final yet, and about when it will be; it waits; or what "
        "failed. Null if the block is verified, or orphaned.",
        _verification_note,
    )
    proof: InclusionProof | None = resolved(
        "The Merkle-Patricia proof that the block contains the log. Null below RECEIPTS, and if proofs are not stored.",
        _proof,
    )

    @property
    def fact(self) -> Any:
        """The recorded fact, None if the profile has no rule for the log or cannot decode it."""
        return self.reading.fact if isinstance(self.reading, Mapped) else None

    @property
    def _seconds(self) -> int | None:
        return self.reading.fact.event_time if isinstance(self.reading, Mapped) else None

    @property
    def _words(self) -> EpcisWords:
        return self.reading.fact.epcis if isinstance(self.reading, Mapped) else NO_WORDS

    def node_id(self) -> EventId:
        return EventId(self.row.chain_id, self.row.block_hash, self.row.offset, AsOfPoint.of_pin(self.pin))

    @field("How likely a reorg is to remove the block.")
    def finality(self, info: Info) -> Finality:
        if self.row.orphaned:
            return Finality.ORPHANED
        return info.context.finality(self.row.chain_id, self.row.block_number)

    @field("The log itself, for clients that decode it.")
    def raw(self) -> RawLog:
        return RawLog(topics=[Bytes32(topic) for topic in self.row.topic_list], data=Bytes(self.row.data))


def _word(member: IntEnum | None) -> str | None:
    return None if member is None else member.name
