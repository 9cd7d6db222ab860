"""Reads and folds a bundle's events again, by the profile that the bundle holds."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from msgspec import Struct

from indexer.changes import Changes, OpenRows
from indexer.fold.fold import fold
from indexer.fold.located_fact import LocatedFact
from indexer.fold.policy import Policy, policy_of
from indexer.proof.evidence import StoredLog
from schema.bundle.document import (
    Bundle,
    Event,
    Licensed,
    Reading,
    Row,
    State,
    addresses_by_role,
    first_blocks,
    subject_of,
)
from schema.bundle.state import (
    FACT_FLAGS,
    NO_READING,
    bundle_reading,
    bundle_rows,
    bundled,
    place_text,
    position_text,
    to_hex,
)
from schema.bundle.subjects import DEVICE, SubjectKind
from schema.did import TokenDid
from schema.profile.errors import ProfileError
from schema.profile.model import parse_profile
from schema.profile.reader import DecodedEvent, Mapped, Reader, event_of
from schema.tables.values import LATEST_TIME, offset_of, offsets, position


class PlacedFact(NamedTuple):
    """A fact with the place of its log. `block_time` in unix seconds."""

    block_number: int
    log_index: int
    item_index: int
    transaction_index: int
    block_time: int
    mapped: Mapped

    def located(self, position: int) -> LocatedFact:
        fact, contracts = self.mapped.fact, self.mapped.contracts
        return LocatedFact(position, min(self.block_time, LATEST_TIME), self.transaction_index, fact, contracts)


class Refolded(Struct, frozen=True):
    """The result of the events: their facts and readings in their order, and the state."""

    facts: Sequence[DecodedEvent]
    readings: Sequence[Reading]
    state: State
    reader: Reader
    kind: SubjectKind
    contract: bytes
    token_id: int
    placed: Sequence[PlacedFact]
    policy: Policy

    def first_about_the_subject(self, left_out: Sequence[PlacedFact]) -> PlacedFact | None:
        """Returns the first fact about the bundle's subject among facts that the bundle leaves out."""
        by_address = [fact for fact in left_out if self.kind is DEVICE and fact.mapped.contracts.by_address]
        about = self._at_the_subject(by_address) if by_address else ()
        return next((fact for fact in left_out if fact in about or self._names_the_subject(fact.mapped)), None)

    def _names_the_subject(self, mapped: Mapped) -> bool:
        if self.kind is DEVICE and mapped.contracts.by_address:
            return False
        contract = getattr(mapped.contracts, self.kind.name)
        return contract == self.contract and self.kind.is_named(mapped.fact, self.token_id)

    def _at_the_subject(self, by_address: Sequence[PlacedFact]) -> Sequence[PlacedFact]:
        """Returns those of the facts that name the subject by its address: what they mean if they are folded too."""
        placed = sorted([*self.placed, *by_address], key=lambda fact: fact[:3])
        facts = [fact.located(position) for fact, position in zip(placed, _positions(placed), strict=True)]
        changes = fold(OpenRows(), facts, self.policy)
        id = _id_of(changes, self.kind.name, self.contract, self.token_id)
        return [
            fact
            for fact, located in zip(placed, facts, strict=True)
            if fact in by_address and changes.readings[located.position].device_id == id
        ]


def refold(bundle: Bundle, block_times: Mapping[int, int]) -> Refolded:
    """Reads and folds the events. Block times are in unix seconds. Raises ValueError with the first contradiction."""
    try:
        profile = parse_profile(bundle.profile.text, "the bundle's profile")
        reader = profile.compile(addresses_by_role(bundle.contracts), first_blocks(bundle.contracts))
    except ProfileError as error:
        raise ValueError(f"the profile cannot be used: {error}") from None
    if profile.name != bundle.profile.name:
        raise ValueError(f"the profile is named {bundle.profile.name!r}, its text says {profile.name!r}")
    kind, subject = subject_of(bundle)
    contract, token_id = bytes.fromhex(subject.contract[2:]), int(subject.token_id)
    did = str(TokenDid(bundle.chain_id, contract, token_id))
    if subject.did != did:
        raise ValueError(f"the {kind.noun} is called {subject.did}, but its contract and token make {did}")
    whole = {bytes.fromhex(contract.address[2:]) for contract in bundle.contracts if contract.whole}
    positions = _positions(bundle.events)
    places = {
        position: place_text(event.block_number, event.log_index, event.item_index)
        for event, position in zip(bundle.events, positions, strict=True)
        if offset_of(position) != event.log_index or event.item_index
    }
    decoded = list(_decoded(reader, bundle.events))
    placed = {
        position: PlacedFact(
            event.block_number,
            event.log_index,
            event.item_index,
            event.transaction_index,
            block_times[event.block_number],
            reading,
        )
        for event, position, reading in zip(bundle.events, positions, decoded, strict=True)
        if isinstance(reading, Mapped)
    }
    policy = policy_of(profile, reader, whole)
    changes = fold(OpenRows(), [fact.located(position) for position, fact in placed.items()], policy)
    id = _id_of(changes, kind.name, contract, token_id)
    if id is None:
        raise ValueError(f"no event is about the {kind.noun} {did}")
    device = (id, token_id) if kind is DEVICE else None
    by_position = {position: _reading(changes, position, fact.mapped, device) for position, fact in placed.items()}
    readings = [by_position.get(position, NO_READING) for position in positions]
    state = _state(changes, kind, id, places)
    return Refolded(decoded, readings, state, reader, kind, contract, token_id, list(placed.values()), policy)


def _block_number(event: Event | PlacedFact) -> int:
    return event.block_number


def _positions(events: Sequence[Event] | Sequence[PlacedFact]) -> list[int]:
    """Returns the position of each event. Raises ValueError if one has none."""
    positions: list[int] = []
    for number, block in groupby(events, _block_number):
        try:
            positions += [position(number, offset) for offset in offsets([event.log_index for event in block])]
        except OverflowError as error:
            raise ValueError(str(error)) from None
    return positions


def _decoded(reader: Reader, events: Sequence[Event]) -> Iterator[DecodedEvent]:
    """Yields the readings of the events. Raises ValueError for an event that is no fact and no part of one."""
    for number, block in groupby(events, lambda event: event.block_number):
        of_log = {index: list(events) for index, events in groupby(block, lambda event: event.log_index)}
        logs = [_log_of(events_of_log[0]) for events_of_log in of_log.values()]
        readings = reader.read_block(logs, number)
        for log, events_of_log, reading in zip(logs, of_log.values(), readings, strict=True):
            for event in events_of_log:
                read = event_of(reading, event.item_index)
                if not isinstance(read, Mapped) and (event.item_index or not reader.may_join(log)):
                    raise ValueError(f"{event.place}: the profile does not map it")
                yield read


def _log_of(event: Event) -> StoredLog:
    return StoredLog(
        event.log_index,
        event.transaction_index,
        bytes.fromhex(event.transaction_hash[2:]),
        bytes.fromhex(event.address[2:]),
        bytes.fromhex("".join(topic[2:] for topic in event.topics)),
        bytes.fromhex(event.data[2:]),
    )


def _reading(changes: Changes, position: int, mapped: Mapped, device: tuple[int, int] | None) -> Reading:
    reading = changes.readings[position]
    id, token = device if device is not None and reading.device_id == device[0] else (None, None)
    flags = int(reading.flags) & FACT_FLAGS if id is None else int(reading.flags)
    return bundle_reading(mapped, reading.event_time, reading.biz_step, reading.disposition, flags, token)


def _state(changes: Changes, kind: SubjectKind, id: int, places: Mapping[int, str]) -> State:
    rows = {table: _rows(changes, table, kind.owner, id, places) for table in kind.tables}
    versions = [row for row in changes.inserted[f"{kind.name}_version"] if getattr(row, kind.owner) == id]
    licenses = {getattr(row, "hardware_license_id", None) for row in versions}
    held = {
        row.manufacturer_id
        for row in changes.inserted["hardware_license_version"]
        if row.hardware_license_id in licenses
    }
    made = {getattr(row, "manufacturer_id", None) for row in versions}
    state: dict[str, Any] = {kind.name: rows}
    return State(
        **state,
        manufacturers=_licensed(changes, "manufacturer", made | held, places),
        hardware_licenses=_licensed(changes, "hardware_license", licenses, places),
    )


def _licensed(changes: Changes, kind: str, ids: set[int | None], places: Mapping[int, str]) -> list[Licensed]:
    return [
        Licensed(
            id=position_text(row.id, places),
            contract=to_hex(row.contract),
            token_id=str(int.from_bytes(row.token_id, "big")),
            versions=_rows(changes, f"{kind}_version", f"{kind}_id", row.id, places),
        )
        for row in sorted(changes.inserted[kind], key=lambda row: row.id)
        if row.id in ids
    ]


def _rows(changes: Changes, table: str, owner: str, id: int, places: Mapping[int, str]) -> list[Row]:
    # nothing was stored before, so every row is an inserted one
    rows = [row for row in changes.inserted[table] if getattr(row, owner) == id]
    columns = bundled(table, owner, rows[0].__struct_fields__) if rows else []
    return bundle_rows(({name: getattr(row, name) for name in columns} for row in rows), places)


def _id_of(changes: Changes, kind: str, contract: bytes, token_id: int) -> int | None:
    rows = changes.inserted[kind]
    number = token_id.to_bytes(32, "big") if token_id < 2**256 else b""
    return next((row.id for row in rows if (row.contract, row.token_id) == (contract, number)), None)
