"""A profile compiled for the addresses of one chain: from a log to the fact it means."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from schema.abi.decoder import DecodeError, compile_reading, variable
from schema.abi.signature import WORD
from schema.events import Address, DeviceMinted, DeviceProvisioned, Fact
from schema.profile.calls import CallField, CompiledCall
from schema.profile.errors import Place, suggestion
from schema.profile.rules import SUBJECT_OF_ID, Binding, Constant, FromArgument, RoleAddress, Rule, Translated
from schema.profile.values import FACT_FIELDS, Holds


class Mapped(Struct, frozen=True, gc=False):
    """A log read as a fact, and the contracts whose ids the fact holds: the emitter, unless the rule says else."""

    fact: Fact
    token_contract: Address
    manufacturer_contract: Address
    hardware_license_contract: Address
    vehicle_contract: Address
    license_contract: Address


class Unmapped(Struct, frozen=True, gc=False):
    """A log that no rule claims."""


class Undecodable(Struct, frozen=True, gc=False):
    """A log that a rule claims and whose bytes do not fit."""

    reason: str
    fact_type: type[Fact]


DecodedLog = Mapped | Unmapped | Undecodable
UNMAPPED = Unmapped()

Addresses = Mapping[str, Sequence[Address]]


class Claim(Struct, frozen=True, gc=False):
    """A rule at one address. `read(address, topics, data)` gives None where the rule's `where` does not hold."""

    rule: Rule
    first_block: int
    last_block: int
    read: Callable[[bytes, bytes, bytes], Mapped | None]


class Reader:
    """Reads the logs of the contracts that a profile was compiled for."""

    def __init__(
        self,
        rules: Sequence[Rule],
        addresses: Addresses,
        permission_bits: Mapping[str, int],
        calls: Mapping[CallField, CompiledCall],
    ) -> None:
        self.calls = calls
        self.permission_bits = permission_bits
        """By grant source: how many bits of the permissions stand for one."""

        claims: dict[tuple[bytes, bytes, int], list[Claim]] = defaultdict(list)
        by_event: dict[tuple[bytes, bytes], list[Claim]] = defaultdict(list)
        emitters: dict[tuple[type[Fact], Address], set[Address]] = defaultdict(set)
        for rule in rules:
            read = _compile_rule(rule, addresses)
            if read is None:
                continue
            claim = Claim(rule, rule.first_block, rule.last_block, read)
            for emitter in addresses.get(rule.contract, ()):
                claims[emitter, rule.event.topic0, WORD * rule.event.topic_count].append(claim)
                by_event[emitter, rule.event.topic0].append(claim)
                emitters[rule.fact_type, _subject(rule, emitter, addresses)].add(emitter)
        self._claims = {key: tuple(found) for key, found in claims.items()}
        self._by_event = {key: tuple(found) for key, found in by_event.items()}
        self._emitters = {key: frozenset(found) for key, found in emitters.items()}
        self.device_contracts = self.contracts_of(DeviceMinted)
        """The contracts whose tokens are devices: those that a rule for DeviceMinted names."""

    def read(self, address: bytes, topics: bytes, data: bytes, block_number: int) -> DecodedLog:
        """Return what a log means: its emitter, its topics laid end to end, its data and its block. Raises nothing."""
        for claim in self._claims.get((address, topics[:WORD], len(topics)), ()):
            if claim.first_block <= block_number <= claim.last_block:
                try:
                    mapped = claim.read(address, topics, data)
                except DecodeError as error:
                    return Undecodable(f"{claim.rule.event.name}: {error}", claim.rule.fact_type)
                if mapped is not None:
                    return mapped
        return self._unclaimed(address, topics, block_number)

    def emitters_of(self, fact_type: type[Fact], contract: bytes) -> frozenset[Address]:
        """Return the addresses whose logs can tell this fact about the ids of a contract.

        A history is whole when there is one, and each is watched from its first block.
        """
        return self._emitters.get((fact_type, Address(contract)), frozenset())

    def contracts_of(self, fact_type: type[Fact]) -> frozenset[Address]:
        """Return the contracts about whose ids a log can mean this fact."""
        return frozenset(contract for fact, contract in self._emitters if fact is fact_type)

    def has_rule_for(self, fact_type: type[Fact], contract: bytes | None = None) -> bool:
        """Tell whether any log can mean this fact; given a contract, this fact about an id of it."""
        if contract is not None:
            return bool(self.emitters_of(fact_type, contract))
        return any(fact is fact_type for fact, _ in self._emitters)

    def claims_provision(self, contract: bytes) -> bool:
        """Tell whether a claim stands for the provisioning of a contract's devices, as none is recorded."""
        return not self.has_rule_for(DeviceProvisioned, contract)

    def _unclaimed(self, address: bytes, topics: bytes, block_number: int) -> DecodedLog:
        """Tell a log that means nothing to the profile from one of a known event in a shape that no rule reads."""
        in_force = [
            claim
            for claim in self._by_event.get((address, topics[:WORD]), ())
            if claim.first_block <= block_number <= claim.last_block
        ]
        counts = {claim.rule.event.topic_count for claim in in_force}
        if not in_force or len(topics) in {WORD * count for count in counts}:
            return UNMAPPED
        rule = in_force[0].rule
        found = f"{len(topics) // WORD} topics" if len(topics) % WORD == 0 else f"{len(topics)} bytes of topics"
        known = " or ".join(map(str, sorted(counts)))
        return Undecodable(f"{rule.event.name}: the log has {found}, the profile knows it with {known}", rule.fact_type)


def check_addresses(
    rules: Sequence[Rule], roles: Sequence[str], contracts: Mapping[str, Sequence[bytes]], file: Place
) -> Addresses:
    """Return the addresses by role, each once. Raises `ProfileError` for a role or an address that cannot be."""
    role_of: dict[bytes, str] = {}
    for role, addresses in contracts.items():
        if role not in roles:
            file.refuse(f"unknown role {role!r} among the contracts{suggestion(role, roles)}")
        for address in addresses:
            if len(address) != 20:
                file.refuse(f"the address 0x{bytes(address).hex()} of {role!r} has {len(address)} bytes, expected 20")
            if role_of.setdefault(address, role) != role:
                file.refuse(
                    f"0x{address.hex()} is given to two roles, {role_of[address]!r} and {role!r}; a contract has one"
                )
    known = {role: tuple(map(Address, dict.fromkeys(addresses))) for role, addresses in contracts.items()}
    for rule in rules:
        for field, role in rule.subjects.items():
            if role != rule.contract and len(known.get(role, ())) > 1:
                file.inside(rule.title).refuse(
                    f"{field} cannot tell the {len(known[role])} addresses of {role!r} apart; give that role one"
                )
    return known


def _compile_rule(rule: Rule, addresses: Addresses) -> Callable[[bytes, bytes, bytes], Mapped | None] | None:
    """Generate the reading of a rule; None for one that cannot apply, as a contract that it names is not watched."""
    unnamed = {field for field, role in rule.subjects.items() if not addresses.get(role)}
    if any(FACT_FIELDS[rule.fact_type][field].required for field in unnamed):
        return None
    if any(isinstance(wanted, RoleAddress) and not addresses.get(wanted.role) for wanted in rule.where.values()):
        return None
    names: dict[str, object] = {"Mapped": Mapped, "Fact": rule.fact_type, "natural": _natural}
    # an optional id of a contract that is not watched names nobody
    arguments = ", ".join(
        f"{field}={_expression(rule, field, binding, names)}"
        for field, binding in rule.fields.items()
        if field not in unnamed
    )
    subjects = ", ".join(_contract_expression(rule, field, addresses, names) for field in SUBJECT_OF_ID)
    guards = {index: _guard(index, wanted, addresses, names) for index, wanted in rule.where.items()}
    result = f"Mapped(Fact({arguments}), {subjects})"
    return compile_reading(rule.event, result, ("address", "topics", "data"), names, guards)


def _expression(rule: Rule, field: str, binding: Binding, names: dict[str, object]) -> str:
    match binding:
        case Constant(value):
            names[f"constant_{field}"] = value
            return f"constant_{field}"
        case FromArgument(index):
            return _plain(rule, field, index)
        case Translated(index, table, default):
            names[f"table_{field}"] = table
            names[f"default_{field}"] = default
            fallback = _plain(rule, field, index) if default is None else f"default_{field}"
            return f"(table_{field}[{variable(index)}] if {variable(index)} in table_{field} else {fallback})"


def _plain(rule: Rule, field: str, index: int) -> str:
    value = variable(index)
    argument = rule.event.inputs[index]
    if FACT_FIELDS[rule.fact_type][field].holds is Holds.SCOPE and argument.type != "string":
        return f"str({value})"
    if argument.type.startswith("int") and not argument.hashed:
        return f"natural({value}, {argument.name!r})"
    return value


def _natural(number: int, name: str) -> int:
    """Return a number of a fact, which has a place for none below zero."""
    if number < 0:
        raise DecodeError(f"{name}: {number} is negative")
    return number


def _contract_expression(rule: Rule, field: str, addresses: Addresses, names: dict[str, object]) -> str:
    role = rule.subjects.get(field, rule.contract)
    if role == rule.contract or not addresses.get(role):
        return "address"
    names[f"contract_{field}"] = addresses[role][0]
    return f"contract_{field}"


def _guard(index: int, wanted: object, addresses: Addresses, names: dict[str, object]) -> str:
    if isinstance(wanted, RoleAddress):
        names[f"wanted_{index}"] = frozenset(addresses[wanted.role])
        return f"{variable(index)} in wanted_{index}"
    names[f"wanted_{index}"] = wanted
    return f"{variable(index)} == wanted_{index}"


def _subject(rule: Rule, emitter: Address, addresses: Addresses) -> Address:
    """Return the contract that the fact is about: the one whose ids its required id holds."""
    for field, role in rule.subjects.items():
        if FACT_FIELDS[rule.fact_type][field].required and role != rule.contract:
            return addresses[role][0]
    return emitter
