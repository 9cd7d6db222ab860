"""Decodes the logs of one chain to facts: a profile compiled for the addresses of its contracts."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from schema.abi.signature import WORD
from schema.abi.words import DecodeError
from schema.events import Address, DeviceMinted, DeviceProvisioned, Fact
from schema.profile.calls import CallField, CompiledCall
from schema.profile.errors import Place, suggestion
from schema.profile.expressions import Addresses, compile_rule, contract_of, is_watched, subject_of
from schema.profile.joins import (
    BlockLog,
    EmittedLog,
    FactOf,
    Group,
    Partner,
    Shape,
    compile_partner,
    joined_logs,
    miscount,
    partner_shapes,
    shape_of,
)
from schema.profile.rules import Join, Rule
from schema.profile.values import SUBJECT_OF_ID


class Numbering(Struct, frozen=True, gc=False):
    """The contracts whose ids a fact contains, each the emitter of the log or one that the rule names."""

    device: Address
    manufacturer: Address
    hardware_license: Address
    vehicle: Address
    license: Address
    synthetic_device: Address


class Contracts(Numbering, frozen=True, kw_only=True, gc=False):
    """The contracts of a fact. `by_address`: its `token_id` is no id, but the address of the device, as a number."""

    by_address: bool = False


class Mapped(Struct, frozen=True, gc=False):
    """A log that is a fact, with the contracts whose ids the fact contains."""

    fact: Fact
    contracts: Contracts


class MappedItems(Struct, frozen=True, gc=False):
    """A log that is several facts, in the order of its items."""

    facts: Sequence[Fact]
    contracts: Contracts


class Unmapped(Struct, frozen=True, gc=False):
    """A log that no rule matches, or whose arrays have no item."""


class Undecodable(Struct, frozen=True, gc=False):
    """A log that a rule matches but whose bytes do not fit."""

    reason: str
    fact_type: type[Fact]


class Unjoined(Struct, frozen=True, gc=False):
    """A log of a rule that joins another log of the transaction: `Reader.read_transaction` reads it.

    `equal` are the values in which the joined log must be equal.
    """

    rule: "CompiledJoin"
    equal: Hashable


DecodedEvent = Mapped | Unmapped | Undecodable
DecodedLog = DecodedEvent | MappedItems
UNMAPPED = Unmapped()


class CompiledRule(Struct, frozen=True, gc=False):
    """A rule for one address. `read(topics, data)` returns None if the rule's `where` does not hold.

    It returns the fact, or with `each` a list of facts.
    """

    rule: Rule
    first_block: int
    last_block: int
    read: Callable[[bytes, bytes], Any]
    contracts: Contracts


class CompiledJoin(Struct, frozen=True, gc=False):
    """A rule with a join, for one address. `equal(topics, data)` returns None if the rule's `where` does not hold."""

    rule: Rule
    join: Join
    first_block: int
    last_block: int
    equal: Callable[[bytes, bytes], Hashable | None]
    read: FactOf
    contracts: Contracts


class Reader:
    """Decodes logs of the contracts that the profile was compiled for."""

    def __init__(
        self,
        rules: Sequence[Rule],
        addresses: Addresses,
        permission_bits: Mapping[str, int],
        calls: Mapping[CallField, CompiledCall],
        first_blocks: Mapping[bytes, int],
    ) -> None:
        self.calls = calls
        self.permission_bits = permission_bits
        """By grant source, how many bits of `permissions` stand for one permission."""

        rules_of_shape: dict[Shape, list[CompiledRule]] = defaultdict(list)
        joins_of_shape: dict[Shape, list[CompiledJoin]] = defaultdict(list)
        partners_of_shape: dict[Shape, list[Partner]] = defaultdict(list)
        rules_of_event: dict[tuple[bytes, bytes], list[CompiledRule | CompiledJoin]] = defaultdict(list)
        emitters: dict[tuple[type[Fact], Address], set[Address]] = defaultdict(set)
        for rule in rules:
            if not is_watched(rule, addresses):
                continue
            code = compile_rule(rule, addresses)
            for emitter in addresses[rule.contract]:
                numbering = (contract_of(rule, field, emitter, addresses) for field in SUBJECT_OF_ID)
                contracts = Contracts(*numbering, by_address=rule.by_address)
                shape = (emitter, rule.event.topic0, WORD * rule.event.topic_count)
                first_block = max(rule.first_block, first_blocks.get(emitter, 0))
                about = emitters[rule.fact_type, subject_of(rule, emitter, addresses)]
                about.add(emitter)
                if rule.join is None or code.equal is None:
                    plain = CompiledRule(rule, first_block, rule.last_block, code.read, contracts)
                    rules_of_shape[shape].append(plain)
                    rules_of_event[emitter, rule.event.topic0].append(plain)
                else:
                    last_block, equal = rule.last_block, code.equal
                    joining = CompiledJoin(rule, rule.join, first_block, last_block, equal, code.read, contracts)
                    joins_of_shape[shape].append(joining)
                    rules_of_event[emitter, rule.event.topic0].append(joining)
                    about.update(addresses[rule.join.contract])
            if rule.join is not None:
                partner = compile_partner(rule, rule.join)
                for joined in partner_shapes(rule.join, addresses):
                    partners_of_shape[joined].append(partner)
        self._rules_of_shape = {key: tuple(rules) for key, rules in rules_of_shape.items()}
        self._joins_of_shape = {key: tuple(rules) for key, rules in joins_of_shape.items()}
        self._partners_of_shape = {key: tuple(partners) for key, partners in partners_of_shape.items()}
        self._rules_of_event = {key: tuple(rules) for key, rules in rules_of_event.items()}
        self._emitters = {key: frozenset(addresses) for key, addresses in emitters.items()}
        self.fans_out = any(rule.each for rule in rules)
        """Whether a log may be several facts."""

        self.names_by_address = any(rule.by_address for rule in rules)
        """Whether a log may name its device by the address."""

        self.device_contracts = self.contracts_of(DeviceMinted)
        """The contracts whose tokens are devices: those whose ids a rule for DeviceMinted contains."""

    def read(self, address: bytes, topics: bytes, data: bytes, block_number: int) -> DecodedLog | Unjoined:
        """Decodes a log, given its emitter, its concatenated topics, its data and its block. Never raises."""
        for rule in self._rules_of_shape.get((address, topics[:WORD], len(topics)), ()):
            if rule.first_block <= block_number <= rule.last_block:
                try:
                    fact = rule.read(topics, data)
                except DecodeError as error:
                    return Undecodable(f"{rule.rule.event.name}: {error}", rule.rule.fact_type)
                if fact is not None:
                    return _mapped_items(fact, rule.contracts) if rule.rule.each else Mapped(fact, rule.contracts)
        return self._unjoined(address, topics, data, block_number)

    @property
    def joins(self) -> bool:
        """Whether the fact of a log may need another log of its transaction."""
        return bool(self._joins_of_shape)

    def read_block(self, logs: Sequence[BlockLog], block_number: int) -> list[DecodedLog]:
        """Decodes logs of a block, in their order: all that a join may need, of each transaction that has one of them.

        If the logs of a transaction that may be joined are not all there, its facts are others.
        """
        readings: list[Any] = [self.read(log.address, log.topics, log.data, block_number) for log in logs]
        if self.joins:
            for _, places in groupby(range(len(logs)), lambda place: logs[place].transaction_index):
                self._join(logs, list(places), readings, block_number)
        return readings

    def read_transaction(self, logs: Sequence[EmittedLog], block_number: int) -> list[DecodedLog]:
        """Decodes the logs of one transaction."""
        readings: list[Any] = [self.read(log.address, log.topics, log.data, block_number) for log in logs]
        self._join(logs, range(len(logs)), readings, block_number)
        return readings

    def may_join(self, log: EmittedLog) -> bool:
        """Returns whether a log is of a rule with a join, or of an event that one joins."""
        shape = shape_of(log)
        return shape in self._joins_of_shape or shape in self._partners_of_shape

    def emitters_of(self, fact_type: type[Fact], contract: bytes) -> frozenset[Address]:
        """Returns the addresses whose logs can be this fact about ids of a contract.

        The history of the fact is complete if there is at least one, and each is watched from its first block.
        """
        return self._emitters.get((fact_type, Address(contract)), frozenset())

    def contracts_of(self, fact_type: type[Fact]) -> frozenset[Address]:
        """Returns the contracts about whose ids a log can be this fact."""
        return frozenset(contract for fact, contract in self._emitters if fact is fact_type)

    def has_rule_for(self, fact_type: type[Fact], contract: bytes | None = None) -> bool:
        """Whether any log can be this fact, or with `contract`, this fact about one of its ids."""
        if contract is not None:
            return bool(self.emitters_of(fact_type, contract))
        return any(fact is fact_type for fact, _ in self._emitters)

    def claims_provision(self, contract: bytes) -> bool:
        """Whether DeviceClaimed counts as provisioning of the contract's devices: no rule reads DeviceProvisioned."""
        return not self.has_rule_for(DeviceProvisioned, contract)

    def _unjoined(self, address: bytes, topics: bytes, data: bytes, block_number: int) -> DecodedLog | Unjoined:
        for rule in self._joins_of_shape.get((address, topics[:WORD], len(topics)), ()):
            if rule.first_block <= block_number <= rule.last_block:
                try:
                    equal = rule.equal(topics, data)
                except DecodeError as error:
                    return Undecodable(f"{rule.rule.event.name}: {error}", rule.rule.fact_type)
                if equal is not None:
                    return Unjoined(rule, equal)
        return self._unmatched(address, topics, block_number)

    def _join(self, logs: Sequence[EmittedLog], places: Sequence[int], readings: list[Any], block_number: int) -> None:
        """Puts the fact of two logs in place of each log that waits for one; `places` are those of a transaction.

        The n-th log of a rule belongs to the n-th of the joined event, among those that are equal in `on`.
        """
        waiting: dict[Group, list[int]] = defaultdict(list)
        for place in places:
            if isinstance(readings[place], Unjoined):
                waiting[readings[place].rule.rule.number, readings[place].equal].append(place)
        if not waiting:
            return
        joined = joined_logs(self._partners_of_shape, [logs[place] for place in places], block_number)
        for group, own in waiting.items():
            others = joined.get(group, ())
            for number, place in enumerate(own):
                rule: CompiledJoin = readings[place].rule
                if len(others) != len(own):
                    reason = miscount(rule.rule, rule.join, len(own), len(others))
                    readings[place] = Undecodable(reason, rule.rule.fact_type)
                else:
                    readings[place] = _read_joined(rule, logs[place], others[number])

    def _unmatched(self, address: bytes, topics: bytes, block_number: int) -> DecodedLog:
        """Returns Undecodable for an event that rules read in other shapes only, else Unmapped.

        A shape is a number of topics: contracts change which arguments are indexed, and topic0 stays the same.
        """
        in_force = [
            rule
            for rule in self._rules_of_event.get((address, topics[:WORD]), ())
            if rule.first_block <= block_number <= rule.last_block
        ]
        counts = {rule.rule.event.topic_count for rule in in_force}
        if not in_force or len(topics) in {WORD * count for count in counts}:
            return UNMAPPED
        declared = in_force[0].rule
        size = f"{len(topics) // WORD} topics" if len(topics) % WORD == 0 else f"{len(topics)} bytes of topics"
        expected = " or ".join(map(str, sorted(counts)))
        reason = f"{declared.event.name}: the log has {size}, the profile expects {expected}"
        return Undecodable(reason, declared.fact_type)


def check_addresses(
    rules: Sequence[Rule], roles: Sequence[str], contracts: Mapping[str, Sequence[bytes]], file: Place
) -> Addresses:
    """Returns the addresses of each role without duplicates. Raises ProfileError for an invalid role or address."""
    role_of: dict[bytes, str] = {}
    for role, addresses in contracts.items():
        if role not in roles:
            file.refuse(f"unknown role {role!r} among the contracts{suggestion(role, roles)}")
        for address in addresses:
            if len(address) != 20:
                file.refuse(f"the address 0x{bytes(address).hex()} of {role!r} has {len(address)} bytes, expected 20")
            if role_of.setdefault(address, role) != role:
                file.refuse(
                    f"0x{address.hex()} has two roles, {role_of[address]!r} and {role!r}; a contract has one role"
                )
    distinct = {role: tuple(map(Address, dict.fromkeys(addresses))) for role, addresses in contracts.items()}
    for rule in rules:
        for field, role in rule.subjects.items():
            if role != rule.contract and len(distinct.get(role, ())) > 1:
                file.inside(rule.title).refuse(
                    f"{role!r} has {len(distinct[role])} addresses, so the contract of {field} is ambiguous; "
                    "give that role one address"
                )
    return distinct


def event_of(reading: DecodedLog, item: int) -> DecodedEvent:
    """Returns the reading of one item of a log. A log that is one fact, or none, has item 0."""
    if not isinstance(reading, MappedItems):
        return reading if item == 0 else UNMAPPED
    return Mapped(reading.facts[item], reading.contracts) if item < len(reading.facts) else UNMAPPED


def events_of(reading: DecodedLog) -> Sequence[DecodedEvent]:
    """Returns the readings of the items of a log."""
    if not isinstance(reading, MappedItems):
        return (reading,)
    return [Mapped(fact, reading.contracts) for fact in reading.facts]


def _mapped_items(facts: Sequence[Fact], contracts: Contracts) -> DecodedLog:
    if len(facts) > 1:
        return MappedItems(facts, contracts)
    return Mapped(facts[0], contracts) if facts else UNMAPPED


def _read_joined(rule: CompiledJoin, log: EmittedLog, joined: tuple[Any, ...]) -> DecodedLog:
    try:
        fact = rule.read(log.topics, log.data, joined)
    except DecodeError as error:
        return Undecodable(f"{rule.rule.event.name}: {error}", rule.rule.fact_type)
    return _mapped_items(fact, rule.contracts) if rule.rule.each else Mapped(fact, rule.contracts)
