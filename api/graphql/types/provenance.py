"""The auditor's questions about a device. Its row has the verdicts; evidence is read only if it is selected."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import strawberry

from api.audit import judgments
from api.audit.evidence import (
    ADDRESS_SETTERS,
    MAX_EVENTS,
    SETTERS,
    Fits,
    events_at,
    fact_of,
    first_events,
    last_events,
    of_kinds,
    sets,
    sets_address_in,
    setters,
)
from api.audit.judgments import Judgment
from api.graphql.context import Context
from api.graphql.plan.fields import At, computed, of
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.queries.devices import DEVICE, addresses
from api.queries.duplicates import address_duplicates, imei_duplicates, serial_number_duplicates
from api.queries.events import (
    END_OF_LIFE_STEPS,
    EVENT,
    HISTORY,
    IN_CIRCUIT_TESTS,
    MECHANICAL_TESTS,
    QUALITY_INSPECTIONS,
)
from api.queries.licenses import HARDWARE_LICENSE, MANUFACTURER
from api.queries.recorded import RecordedEvent
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import Key, key_of
from api.queries.sql.listings import Listing
from api.queries.sql.relations import Relation
from api.reading.read import Query, Read
from schema.events import EndOfLifeRecorded, Kind
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeProcess, EventFlag, Verdict, known_code


class JudgedDevice(NamedTuple):
    """The cells of a device that its checks depend on."""

    pin: Pin
    id: int
    chain_id: int
    contract: bytes
    owner: bytes | None
    serial_number: str | None
    imei: str | None
    imei_valid: int
    dev_eui: str | None
    manufacturer_id: int | None
    hardware_license_id: int | None
    manufacturer_license_at_mint: int | None
    hardware_license_at_mint: int | None
    hardware_licensed_at_mint: int
    mint_position: int | None
    minted_at: int | None
    burn_position: int | None
    in_circuit_test: int
    mechanical_test: int
    quality_inspection: int
    provisioned_after_quality: int
    end_of_life_status: int
    sanitized_before_disposal: int
    active_after_end_of_life: bool

    @property
    def key(self) -> Key:
        return key_of(self.pin, self.id)

    @property
    def at(self) -> tuple[Pin, int]:
        return self.pin, self.id


Related = Sequence[Any]
"""Rows that were read to judge a device and belong to the evidence, such as its duplicates."""

Gather = Callable[[Read, Sequence["CheckRow"]], Sequence[Iterable[RecordedEvent]]]
"""Returns the events behind each check."""


class CheckRow(NamedTuple):
    """A check of one device. `gather` reads the evidence of all checks that share it."""

    verdict: Verdict
    reason: str
    device: JudgedDevice
    gather: Gather | None
    related: Related = ()


def _evidence(context: Context, checks: Sequence[CheckRow]) -> list[list[At]]:
    groups: dict[Gather | None, list[int]] = defaultdict(list)
    for place, check in enumerate(checks):
        groups[check.gather].append(place)
    shown: list[list[At]] = [[] for _ in checks]
    for gather, places in groups.items():
        if gather is None:
            continue
        for place, events in zip(places, gather(context.read, [checks[place] for place in places]), strict=True):
            by_position = {event.position: event for event in events}
            shown[place] = [
                At(context.read.fit(by_position[position]), checks[place].device.pin, EVENT)
                for position in sorted(by_position)[:MAX_EVENTS]
            ]
    return shown


@strawberry.type(description="The answer to one question of provenance.")
class Check:
    verdict: Verdict = strawberry.field(description="The answer.")
    reason: str = strawberry.field(description="The reason for the verdict, in one sentence.")
    evidence: list[LifecycleEvent] = computed(
        "The events that the verdict rests on, oldest first, at most 10.", _evidence, "self"
    )


def check(description: str, judge: Callable[[Context, Sequence[JudgedDevice]], Sequence[CheckRow]]) -> Any:
    """Declares a question about the devices of a response."""
    return computed(
        description, lambda context, rows: judge(context, list(map(JudgedDevice._make, rows))), *JudgedDevice._fields
    )


def _of_row(judgment: Callable[[JudgedDevice], Judgment], gather: Gather) -> Any:
    """Returns a judge that needs nothing but the row of a device."""
    return lambda context, devices: [CheckRow(*judgment(device), device, gather) for device in devices]


def _of_duplicates(
    query: Query,
    comparable: Callable[[JudgedDevice], bool],
    judgment: Callable[[JudgedDevice, Related], Judgment],
    gather: Gather,
) -> Any:
    """Returns a judge that compares a device with its duplicates."""

    def judge(context: Context, devices: Sequence[JudgedDevice]) -> list[CheckRow]:
        keys = [device.key for device in devices if comparable(device)]
        duplicates = dict(zip(keys, context.read.each(query, keys), strict=True))
        related = [duplicates.get(device.key, ()) for device in devices]
        return [
            CheckRow(*judgment(device, own), device, gather, own) for device, own in zip(devices, related, strict=True)
        ]

    return judge


def _addresses_unique(context: Context, devices: Sequence[JudgedDevice]) -> list[CheckRow]:
    keys = [device.key for device in devices]
    held = [[row.address for row in rows] for rows in context.read.each(addresses, keys)]
    return [
        CheckRow(*judgments.address_unique(own, duplicates), device, _address_setters, (own, duplicates))
        for device, own, duplicates in zip(devices, held, context.read.each(address_duplicates, keys), strict=True)
    ]


def _provisioned_after_quality(context: Context, devices: Sequence[JudgedDevice]) -> list[CheckRow]:
    readers, read = context.snapshot.readers, context.read
    provisioned = [device for device in devices if device.provisioned_after_quality != Verdict.NOT_APPLICABLE]
    first: dict[JudgedDevice, list[RecordedEvent]] = {}
    for kind in (Kind.DEVICE_CLAIMED, Kind.DEVICE_PROVISIONED):
        of_kind = [
            device
            for device in provisioned
            if readers[device.chain_id].claims_provision(device.contract) == (kind is Kind.DEVICE_CLAIMED)
        ]
        events = first_events(read, HISTORY, [device.at for device in of_kind], filter=of_kinds(kind))
        first |= zip(of_kind, events, strict=True)
    starts = [first[device][0].position for device in provisioned]
    inspections = last_events(read, QUALITY_INSPECTIONS, [device.at for device in provisioned], before=starts)
    before = dict(zip(provisioned, inspections, strict=True))

    def judged(device: JudgedDevice) -> CheckRow:
        if device not in first:
            return CheckRow(*judgments.provisioned_after_quality(device, None, False), device, None)
        block = block_of(first[device][0].position)
        judgment = judgments.provisioned_after_quality(device, block, bool(before[device]))
        return CheckRow(*judgment, device, _inspection_and_provisioning, (before[device], first[device]))

    return list(map(judged, devices))


# The evidence of each question


def _licenses_at_mint(relation: Relation, read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    """Returns the grant and the revocation that applied just before the mint of each device, and the mint."""

    def key(device: JudgedDevice) -> Key | None:
        holder = device.manufacturer_id if relation is MANUFACTURER else device.hardware_license_id
        if device.mint_position is None or holder is None:
            return None
        return Key(device.chain_id, holder, device.mint_position - 1, device.minted_at or 0)

    keys = [key(check.device) for check in checks]
    columns = ("grant_position", "revocation_position")
    known = [key for key in keys if key is not None]
    licenses = dict(zip(known, read.cells(relation, columns, known), strict=True))

    def positions(check: CheckRow, key: Key | None) -> list[int | None]:
        license = None if key is None else licenses[key]
        return [*((license[0], license[1]) if license else ()), check.device.mint_position]

    return events_at(read, [(check.device.pin, positions(check, key)) for check, key in zip(checks, keys, strict=True)])


def _last(listing: Listing, read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    return last_events(read, listing, [check.device.at for check in checks])


def _setters(
    read: Read,
    checks: Sequence[CheckRow],
    fits: Callable[[CheckRow], Fits],
    duplicates: Callable[[CheckRow], Related],
    kinds: tuple[Kind, ...] = SETTERS,
) -> list[list[RecordedEvent]]:
    """Returns the events that gave each device and each of its duplicates the value that they share."""
    devices, tests, owners = [], [], []
    for place, check in enumerate(checks):
        for id in (check.device.id, *(device.id for device in duplicates(check))):
            devices.append((check.device.pin, id))
            tests.append(fits(check))
            owners.append(place)
    events: list[list[RecordedEvent]] = [[] for _ in checks]
    for place, own in zip(owners, setters(read, devices, kinds, tests), strict=True):
        events[place] += own
    return events


def _imei_setters(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    return _setters(read, checks, lambda check: _sets_imei(check.device), lambda check: check.related)


def _serial_number_setters(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    return _setters(read, checks, lambda check: sets("serialNumber", "serial_number"), lambda check: check.related)


def _address_setters(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    return _setters(
        read,
        checks,
        lambda check: sets_address_in(check.related[0]),
        lambda check: check.related[1],
        kinds=ADDRESS_SETTERS,
    )


def _inspection_and_provisioning(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    late = [check for check in checks if not check.related[0]]
    inspections = iter(first_events(read, QUALITY_INSPECTIONS, [check.device.at for check in late]))
    return [[*(check.related[0] or next(inspections)), *check.related[1]] for check in checks]


def _end_and_activity(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    ended = [check.device for check in checks if check.verdict != Verdict.NOT_APPLICABLE]
    burns = events_at(read, [(device.pin, [device.burn_position]) for device in ended])
    devices = [device.at for device in ended]
    steps = first_events(read, END_OF_LIFE_STEPS, devices)
    flagged = first_events(read, HISTORY, devices, filter=AFTER_END_OF_LIFE, count=MAX_EVENTS - 1)
    evidence = iter([*(step or burn), *later] for burn, step, later in zip(burns, steps, flagged, strict=True))
    return [next(evidence) if check.verdict != Verdict.NOT_APPLICABLE else [] for check in checks]


def _sanitizing_steps(read: Read, checks: Sequence[CheckRow]) -> list[list[RecordedEvent]]:
    ended = [check.device.at for check in checks if check.verdict != Verdict.NOT_APPLICABLE]
    steps = iter(first_events(read, END_OF_LIFE_STEPS, ended, count=LONGEST_LIFE))
    return [
        _decisive([(event, fact_of(read, event)) for event in next(steps)])
        if check.verdict != Verdict.NOT_APPLICABLE
        else []
        for check in checks
    ]


def _test(name: str, verdict: str, listing: Listing) -> Any:
    return _of_row(lambda device: judgments.last_test(name, Verdict(getattr(device, verdict))), partial(_last, listing))


@strawberry.type(
    description="The answers to an auditor's questions. docs/how-it-works/meaning.md has the rule of each."
)
@of(DEVICE)
class Provenance:
    manufacturer_licensed_at_mint: Check = check(
        "Was the Manufacturing License of the manufacturer VALID at the mint?",
        _of_row(judgments.manufacturer_licensed_at_mint, partial(_licenses_at_mint, MANUFACTURER)),
    )
    hardware_licensed_at_mint: Check = check(
        "Was the hardware license of the mint VALID at the mint, and did it belong to the manufacturer?",
        _of_row(judgments.hardware_licensed_at_mint, partial(_licenses_at_mint, HARDWARE_LICENSE)),
    )
    imei_valid: Check = check(
        "Does the IMEI have 15 digits with a correct Luhn check digit? NOT_APPLICABLE for a device that has "
        "a DevEUI and no IMEI.",
        _of_row(judgments.imei_valid, _imei_setters),
    )
    imei_unique: Check = check(
        "Is the IMEI unique among the unburned devices of the contract?",
        _of_duplicates(imei_duplicates, lambda device: device.imei is not None, judgments.imei_unique, _imei_setters),
    )
    serial_unique_for_manufacturer: Check = check(
        "Is the serial number unique among the devices of the manufacturer?",
        _of_duplicates(
            serial_number_duplicates,
            lambda device: device.serial_number is not None and device.manufacturer_id is not None,
            judgments.serial_unique_for_manufacturer,
            _serial_number_setters,
        ),
    )
    address_unique: Check = check(
        "Was every address of the device held by this device alone at the time?", _addresses_unique
    )
    in_circuit_test_passed: Check = check(
        "Did the last in-circuit test pass?", _test("in-circuit test", "in_circuit_test", IN_CIRCUIT_TESTS)
    )
    mechanical_test_passed: Check = check(
        "Did the last mechanical test pass?", _test("mechanical test", "mechanical_test", MECHANICAL_TESTS)
    )
    quality_inspection_passed: Check = check(
        "Did the last quality inspection pass?", _test("quality inspection", "quality_inspection", QUALITY_INSPECTIONS)
    )
    provisioned_after_quality: Check = check(
        "Did the last quality inspection before the first provisioning pass?", _provisioned_after_quality
    )
    no_activity_after_end_of_life: Check = check(
        "Is the device free of events that its end of life rules out?",
        _of_row(judgments.no_activity_after_end_of_life, _end_and_activity),
    )
    sanitized_before_disposal: Check = check(
        "Did a step at or before the first RECYCLED or DISPOSED state CLEAR, PURGE or DESTROY?",
        _of_row(judgments.sanitized_before_disposal, _sanitizing_steps),
    )


AFTER_END_OF_LIFE: Filter = (("flag", (("eq", EventFlag.AFTER_END_OF_LIFE),)),)
LONGEST_LIFE = 100
"""The number of end-of-life steps that are read; a device normally has three."""


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
