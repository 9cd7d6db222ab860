"""The auditor's questions about a device. Its row has the verdicts; evidence is read only if it is selected."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import strawberry

from api.audit import judgements
from api.audit.evidence import (
    ADDRESS_SETTERS,
    MAX_EVENTS,
    SETTERS,
    DeviceEvidence,
    Fits,
    of_kinds,
    sets,
    sets_address_in,
)
from api.audit.judgements import Judgment
from api.graphql.context import Info
from api.graphql.types.event_rows import event_of
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import field
from api.queries.events import END_OF_LIFE_STEPS, HISTORY, IN_CIRCUIT_TESTS, MECHANICAL_TESTS, QUALITY_INSPECTIONS
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.pages import Listing
from schema.events import EndOfLifeRecorded, Kind
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeProcess, EventFlag, Verdict, known_code

Gather = Callable[[], Awaitable[Iterable[Any]]]


@strawberry.type(description="The answer to one question of provenance.")
class Check:
    verdict: Verdict = strawberry.field(description="The answer.")
    reason: str = strawberry.field(description="The reason for the verdict, in one sentence.")
    pin: strawberry.Private[Pin]
    gather: strawberry.Private[Gather]

    @field("The events that the verdict rests on, oldest first, at most 10.")
    async def evidence(self, info: Info) -> list[LifecycleEvent]:
        rows = {row.position: row for row in await self.gather()}
        return [event_of(info.context, rows[position], self.pin) for position in sorted(rows)[:MAX_EVENTS]]


@strawberry.type(
    description="The answers to an auditor's questions. docs/how-it-works/meaning.md has the rule of each."
)
class Provenance:
    device: strawberry.Private[Any]
    pin: strawberry.Private[Pin]

    @field("Was the Manufacturing License of the manufacturer VALID at the mint?")
    def manufacturer_licensed_at_mint(self, info: Info) -> Check:
        evidence = self._evidence(info)
        judgement = judgements.manufacturer_licensed_at_mint(self.device)
        return self._check(judgement, lambda: evidence.license_at_mint(self.device, hardware=False))

    @field("Was the hardware license of the mint VALID at the mint, and did it belong to the manufacturer?")
    def hardware_licensed_at_mint(self, info: Info) -> Check:
        evidence = self._evidence(info)
        judgement = judgements.hardware_licensed_at_mint(self.device)
        return self._check(judgement, lambda: evidence.license_at_mint(self.device, hardware=True))

    @field(
        "Does the IMEI have 15 digits with a correct Luhn check digit? NOT_APPLICABLE for a device that has "
        "a DevEUI and no IMEI."
    )
    def imei_valid(self, info: Info) -> Check:
        return self._check(judgements.imei_valid(self.device), lambda: self._setters(info, _sets_imei(self.device)))

    @field("Is the IMEI unique among the unburned devices of the contract?")
    async def imei_unique(self, info: Info) -> Check:
        duplicates = (
            await info.context.loaders.imei_duplicates.load(self._key()) if self.device.imei is not None else ()
        )
        judgement = judgements.imei_unique(self.device, duplicates)
        return self._check(judgement, lambda: self._setters(info, _sets_imei(self.device), duplicates))

    @field("Is the serial number unique among the devices of the manufacturer?")
    async def serial_unique_for_manufacturer(self, info: Info) -> Check:
        comparable = self.device.serial_number is not None and self.device.manufacturer_id is not None
        duplicates = await info.context.loaders.serial_number_duplicates.load(self._key()) if comparable else ()
        judgement = judgements.serial_unique_for_manufacturer(self.device, duplicates)
        return self._check(judgement, lambda: self._setters(info, sets("serialNumber", "serial_number"), duplicates))

    @field("Was every address of the device held by this device alone at the time?")
    async def address_unique(self, info: Info) -> Check:
        # both are requested before one is awaited, so that they are read together
        pending = info.context.loaders.address_duplicates.load(self._key())
        addresses = await self._evidence(info).addresses(self.device.id)
        duplicates = await pending
        judgement = judgements.address_unique(addresses, duplicates)
        return self._check(
            judgement, lambda: self._setters(info, sets_address_in(addresses), duplicates, kinds=ADDRESS_SETTERS)
        )

    @field("Did the last in-circuit test pass?")
    def in_circuit_test_passed(self, info: Info) -> Check:
        return self._test(info, "in-circuit test", self.device.in_circuit_test, IN_CIRCUIT_TESTS)

    @field("Did the last mechanical test pass?")
    def mechanical_test_passed(self, info: Info) -> Check:
        return self._test(info, "mechanical test", self.device.mechanical_test, MECHANICAL_TESTS)

    @field("Did the last quality inspection pass?")
    def quality_inspection_passed(self, info: Info) -> Check:
        return self._test(info, "quality inspection", self.device.quality_inspection, QUALITY_INSPECTIONS)

    @field("Did the last quality inspection before the first provisioning pass?")
    async def provisioned_after_quality(self, info: Info) -> Check:
        if self.device.provisioned_after_quality == Verdict.NOT_APPLICABLE:
            return self._check(judgements.provisioned_after_quality(self.device, None, False), _nothing)
        evidence, id = self._evidence(info), self.device.id
        claims_provision = info.context.snapshot.readers[self.pin.chain_id].claims_provision(self.device.contract)
        kind = Kind.DEVICE_CLAIMED if claims_provision else Kind.DEVICE_PROVISIONED
        provisioned = await evidence.first(HISTORY, id, filter=of_kinds(kind))
        start = provisioned[0].position
        before = await evidence.last(QUALITY_INSPECTIONS, id, before=start)

        async def gather() -> Iterable[Any]:
            return [*(before or await evidence.first(QUALITY_INSPECTIONS, id)), *provisioned]

        return self._check(judgements.provisioned_after_quality(self.device, block_of(start), bool(before)), gather)

    @field("Is the device free of events that its end of life rules out?")
    def no_activity_after_end_of_life(self, info: Info) -> Check:
        evidence, id = self._evidence(info), self.device.id
        judgement = judgements.no_activity_after_end_of_life(self.device)

        async def gather() -> Iterable[Any]:
            if judgement.verdict == Verdict.NOT_APPLICABLE:
                return []
            burn, steps, flagged = await info.context.runner.gather(
                evidence.at(self.device.burn_position),
                evidence.first(END_OF_LIFE_STEPS, id),
                evidence.first(HISTORY, id, filter=AFTER_END_OF_LIFE, count=MAX_EVENTS - 1),
            )
            return [*(steps or burn), *flagged]

        return self._check(judgement, gather)

    @field("Did a step at or before the first RECYCLED or DISPOSED state CLEAR, PURGE or DESTROY?")
    def sanitized_before_disposal(self, info: Info) -> Check:
        judgement = judgements.sanitized_before_disposal(self.device)
        evidence = self._evidence(info)

        async def gather() -> Iterable[Any]:
            if judgement.verdict == Verdict.NOT_APPLICABLE:
                return []
            steps = await evidence.first(END_OF_LIFE_STEPS, self.device.id, count=LONGEST_LIFE)
            return _decisive([(row, evidence.fact(row)) for row in steps])

        return self._check(judgement, gather)

    def _evidence(self, info: Info) -> DeviceEvidence:
        return DeviceEvidence(info.context.runner, info.context.loaders, self.pin)

    def _key(self) -> Key:
        return key_of(self.pin, self.device.id)

    def _check(self, judgement: Judgment, gather: Gather) -> Check:
        return Check(verdict=judgement.verdict, reason=judgement.reason, pin=self.pin, gather=gather)

    def _test(self, info: Info, name: str, verdict: int, listing: Listing) -> Check:
        evidence = self._evidence(info)
        return self._check(judgements.last_test(name, Verdict(verdict)), lambda: evidence.last(listing, self.device.id))

    async def _setters(
        self, info: Info, fits: Fits, duplicates: Sequence[Any] = (), kinds: tuple[Kind, ...] = SETTERS
    ) -> Iterable[Any]:
        """Returns the events that gave this device and each duplicate the value that they share."""
        evidence = self._evidence(info)
        devices = [self.device.id, *(device.id for device in duplicates)]
        rows = await info.context.runner.gather(*(evidence.setter(id, kinds, fits) for id in devices))
        return [row for device_rows in rows for row in device_rows]


AFTER_END_OF_LIFE: Filter = (("flag", (("eq", EventFlag.AFTER_END_OF_LIFE),)),)
LONGEST_LIFE = 100
"""The number of end-of-life steps that are read; a device normally has three."""


async def _nothing() -> Iterable[Any]:
    return []


def _sets_imei(device: Any) -> Fits:
    return sets("imei", "imei") if device.imei is not None or device.dev_eui is None else sets("devEUI", None)


def _decisive(steps: list[tuple[Any, Any]]) -> list[Any]:
    """Returns the steps up to the first RECYCLED or DISPOSED, those that state a sanitization before the others."""
    stated, others = [], []
    for row, fact in steps:
        ends = isinstance(fact, EndOfLifeRecorded) and _is_end(fact.process)
        if ends or fact.sanitization is not None:
            stated.append(row)
        else:
            others.append(row)
        if ends:
            break
    return (stated[:MAX_EVENTS] + others)[:MAX_EVENTS]


def _is_end(process: int) -> bool:
    return known_code(EndOfLifeProcess, process) and process >= EndOfLifeProcess.RECYCLED
