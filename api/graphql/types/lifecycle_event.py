"""What every recorded event tells, whatever it recorded."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from api.graphql.context import Info
from api.graphql.paging.tokens import AsOfPoint, EventId
from api.graphql.types.blocks import Block, to_block
from api.graphql.types.node import Node
from api.graphql.types.proofs import InclusionProof, to_proof
from api.graphql.vocabulary.fields import field
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes, Bytes32, block_time, date_time
from api.queries.recorded import Finality, RecordedEvent
from api.queries.sql.as_of import Pin
from schema.events import Kind
from schema.profile.model import DecodedLog, Mapped
from schema.vocabulary import NO_WORDS, EpcisAction, EpcisWords, EventFlag, VerificationLevel

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.type(description="A log as the chain gave it.")
class RawLog:
    topics: list[Bytes32] = strawberry.field(
        description="The event's signature hash first, then the indexed arguments."
    )
    data: Bytes = strawberry.field(description="The arguments that are not indexed, ABI-encoded.")


@strawberry.interface(
    description="One log of a watched contract. Its id holds the block's hash, so it names one log of one branch."
)
class LifecycleEvent(Node):
    row: strawberry.Private[RecordedEvent]
    reading: strawberry.Private[DecodedLog]
    pin: strawberry.Private[Pin]

    @property
    def fact(self) -> Any:
        """What it recorded, where that can be read."""
        return self.reading.fact if isinstance(self.reading, Mapped) else None

    def node_id(self) -> EventId:
        return EventId(self.row.chain_id, self.row.block_hash, self.row.log_index, AsOfPoint.of_pin(self.pin))

    @field("What it recorded.")
    def kind(self) -> Kind:
        return Kind(self.row.kind)

    @field("Null for events of licences, and where no device can be told.")
    async def device(self, info: Info) -> Annotated["Device", strawberry.lazy("api.graphql.types.devices")] | None:
        if self.row.device_id is None:
            return None
        return await info.context.device(self.pin, self.row.device_id)

    @field("When the emitter says it happened; null where it does not say, or after the year 9999.")
    def event_time(self) -> datetime | None:
        return date_time(_seconds(self.reading))

    @field("The emitter's time as it came, in unix seconds.")
    def event_time_seconds(self) -> BigInt | None:
        seconds = _seconds(self.reading)
        return None if seconds is None else BigInt(seconds)

    @field("Block time.")
    def record_time(self) -> datetime:
        return block_time(self.row.block_time)

    @field("EPCIS 2.0, by the table in certificate.md; null for licences.")
    def action(self) -> EpcisAction | None:
        return _words(self.reading)[0]

    @field("The business step: a CBV 2.0 word, lower case; null for grants and licences.")
    def biz_step(self) -> str | None:
        step = _words(self.reading)[1]
        return None if step is None else step.name

    @field("What the device is from then on: a CBV 2.0 word, lower case; null for grants and licences.")
    def disposition(self) -> str | None:
        disposition = _words(self.reading)[2]
        return None if disposition is None else disposition.name

    @field("What it contradicts.")
    def flags(self) -> list[EventFlag]:
        return flags_of(self.row.flags)

    @field("The block that holds it.")
    def block(self) -> Block:
        return to_block(self.row.block, orphaned=self.row.orphaned)

    @field("The transaction that emitted it.")
    def transaction_hash(self) -> Bytes32:
        return Bytes32(self.row.transaction_hash)

    @field("Place of the transaction in the block, from 0.")
    def transaction_index(self) -> int:
        return self.row.transaction_index

    @field("Place in the block, not in the transaction, from 0.")
    def log_index(self) -> int:
        return self.row.log_index

    @field("The contract that emitted it.")
    def contract(self) -> Address:
        return Address(self.row.address)

    @field("How well it is proved that the log is in its block.")
    def verification(self) -> VerificationLevel:
        return VerificationLevel(self.row.level)

    @field("Why verification stopped short of RECEIPTS, where it cannot go on.")
    async def verification_note(self, info: Info) -> str | None:
        return await info.context.loaders.verification_note.load((self.row.chain_id, self.row.block_number))

    @field("Null below RECEIPTS, and where proofs are not kept.")
    async def proof(self, info: Info) -> InclusionProof | None:
        place = (self.row.chain_id, self.row.block_number, self.row.transaction_index)
        return to_proof(self.row, await info.context.loaders.proof.load(place))

    @field("How far its block is from being taken back.")
    def finality(self, info: Info) -> Finality:
        if self.row.orphaned:
            return Finality.ORPHANED
        return info.context.finality(self.row.chain_id, self.row.block_number)

    @field("The log, for readers who decode it themselves.")
    def raw(self) -> RawLog:
        return RawLog(topics=[Bytes32(topic) for topic in self.row.topic_list], data=Bytes(self.row.data))


@cache
def flags_of(bits: int) -> list[EventFlag]:
    """Returns the flags of an event, as they are stored."""
    return list(EventFlag(bits))


def _seconds(reading: DecodedLog) -> int | None:
    return reading.fact.event_time if isinstance(reading, Mapped) else None


def _words(reading: DecodedLog) -> EpcisWords:
    return reading.fact.epcis if isinstance(reading, Mapped) else NO_WORDS
