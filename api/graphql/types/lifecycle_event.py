"""The interface of all events: what every log has, whatever it recorded."""

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
from schema.events import Kind
from schema.profile.reader import DecodedLog, Mapped
from schema.vocabulary import NO_WORDS, EpcisAction, EpcisWords, EventFlag, VerificationLevel

if TYPE_CHECKING:
    from api.graphql.types.devices import Device


@strawberry.type(description="A log as the node returned it.")
class RawLog:
    topics: list[Bytes32] = strawberry.field(
        description="The hash of the event's signature first, then the indexed arguments."
    )
    data: Bytes = strawberry.field(description="The arguments that are not indexed, ABI-encoded.")


@strawberry.interface(
    description="One log of a watched contract. The id contains the hash of the block, so it names one log on one "
    "branch of the chain."
)
class LifecycleEvent(Node):
    row: strawberry.Private[RecordedEvent]
    reading: strawberry.Private[DecodedLog]

    @property
    def fact(self) -> Any:
        """The recorded fact, None if the profile has no rule for the log or cannot decode it."""
        return self.reading.fact if isinstance(self.reading, Mapped) else None

    def node_id(self) -> EventId:
        return EventId(self.row.chain_id, self.row.block_hash, self.row.log_index, AsOfPoint.of_pin(self.pin))

    @field("The kind of fact that the event recorded.")
    def kind(self) -> Kind:
        return Kind(self.row.kind)

    @field(
        "The device that the event is about. Null for events of manufacturers, licenses and vehicles, and if "
        "the log does not identify a device."
    )
    async def device(self, info: Info) -> Annotated["Device", strawberry.lazy("api.graphql.types.devices")] | None:
        from api.graphql.types.devices import load_device

        if self.row.device_id is None:
            return None
        return await load_device(info.context, self.pin, self.row.device_id)

    @field(
        "The time at which it happened, according to the emitter. Null if the event does not state a time, "
        "or states one after the year 9999."
    )
    def event_time(self) -> datetime | None:
        return date_time(_seconds(self.reading))

    @field("`eventTime` as the emitter wrote it, in unix seconds. Null if the event does not state a time.")
    def event_time_seconds(self) -> BigInt | None:
        seconds = _seconds(self.reading)
        return None if seconds is None else BigInt(seconds)

    @field("The timestamp of the block.")
    def record_time(self) -> datetime:
        return block_time(self.row.block_time)

    @field("The EPCIS 2.0 action; see docs/how-it-works/meaning.md. Null for grants and licenses.")
    def action(self) -> EpcisAction | None:
        return _words(self.reading)[0]

    @field(
        "The EPCIS business step, a CBV 2.0 word in lower case; see docs/how-it-works/meaning.md. Null for "
        "grants and licenses."
    )
    def biz_step(self) -> str | None:
        step = _words(self.reading)[1]
        return None if step is None else step.name

    @field(
        "The EPCIS disposition, the state of the device after the event: a CBV 2.0 word in lower case; see "
        "docs/how-it-works/meaning.md. Null if the event does not change it."
    )
    def disposition(self) -> str | None:
        disposition = _words(self.reading)[2]
        return None if disposition is None else disposition.name

    @field("The contradictions between the event and what was recorded before it. Empty if there are none.")
    def flags(self) -> list[EventFlag]:
        return flags_of(self.row.flags)

    @field("The block that contains the event.")
    def block(self) -> Block:
        return to_block(self.row.block, orphaned=self.row.orphaned)

    @field("The hash of the transaction that emitted the event.")
    def transaction_hash(self) -> Bytes32:
        return Bytes32(self.row.transaction_hash)

    @field("The index of the transaction in the block, from 0.")
    def transaction_index(self) -> int:
        return self.row.transaction_index

    @field("The index of the log in the block (not in the transaction), from 0.")
    def log_index(self) -> int:
        return self.row.log_index

    @field("The address of the contract that emitted the event.")
    def contract(self) -> Address:
        return Address(self.row.address)

    @field("How well it is verified that the block contains the log.")
    def verification(self) -> VerificationLevel:
        return VerificationLevel(self.row.level)

    @field("Why the block could not be verified to RECEIPTS. Null if it is verified, or not yet attempted.")
    async def verification_note(self, info: Info) -> str | None:
        return await info.context.loaders.verification_note.load((self.row.chain_id, self.row.block_number))

    @field(
        "The Merkle-Patricia proof that the block contains the log. Null below RECEIPTS, and if proofs are not stored."
    )
    async def proof(self, info: Info) -> InclusionProof | None:
        place = (self.row.chain_id, self.row.block_number, self.row.transaction_index)
        return to_proof(self.row, await info.context.loaders.proof.load(place))

    @field("How likely a reorg is to remove the block.")
    def finality(self, info: Info) -> Finality:
        if self.row.orphaned:
            return Finality.ORPHANED
        return info.context.finality(self.row.chain_id, self.row.block_number)

    @field("The log itself, for clients that decode it.")
    def raw(self) -> RawLog:
        return RawLog(topics=[Bytes32(topic) for topic in self.row.topic_list], data=Bytes(self.row.data))


@cache
def flags_of(bits: int) -> list[EventFlag]:
    """Returns the flags that a stored bit set contains, lowest bit first."""
    return list(EventFlag(bits))


def _seconds(reading: DecodedLog) -> int | None:
    return reading.fact.event_time if isinstance(reading, Mapped) else None


def _words(reading: DecodedLog) -> EpcisWords:
    return reading.fact.epcis if isinstance(reading, Mapped) else NO_WORDS
