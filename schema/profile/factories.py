"""Factories: contracts whose events name other contracts, which are watched from the block of that event on.

What is watched follows from the stored logs alone. So a role that a factory fills may not decide what other logs mean:
a log would mean something else before its contract was created than when all logs are read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema.abi.decoder import compile_expression
from schema.abi.signature import WORD, EventSignature
from schema.abi.words import DecodeError
from schema.events import (
    ZERO_ADDRESS,
    Address,
    DeviceMinted,
    DeviceProvisioned,
    Fact,
    HardwareLicensed,
    HardwareLicenseRevoked,
    LicenseMinted,
    LicenseRevoked,
    LicenseTransferred,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    ManufacturerTransferred,
)
from schema.profile.calls import Call
from schema.profile.errors import Place, suggestion
from schema.profile.joins import EmittedLog, Shape, shape_of, value_at
from schema.profile.parsing import parse_emitted, parse_where, value_named
from schema.profile.rules import NoRole, Path, RoleAddress, Rule

KEYS = ("contract", "signature", "creates", "address", "where", "whole")

OF_THE_CHAIN: tuple[type[Fact], ...] = (LicenseMinted, LicenseTransferred, LicenseRevoked)
"""Facts that decide about tokens of any contract."""

OF_OTHERS: tuple[type[Fact], ...] = (
    DeviceMinted,
    DeviceProvisioned,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    HardwareLicensed,
    HardwareLicenseRevoked,
    ManufacturerTransferred,
)
"""Facts of which the policy of the fold asks whether any contract emits them."""


@dataclass(frozen=True)
class Factory:
    """A `[[factory]]` table. `whole`: the event comes with the creation, and nothing of the contract lies before."""

    number: int
    contract: str
    event: EventSignature
    creates: str
    address: Path
    where: Mapping[Path, object]
    whole: bool


@dataclass(frozen=True, slots=True)
class Creation:
    """A contract that a log of a factory names."""

    role: str
    address: Address
    whole: bool


def parse_factories(value: object, roles: Sequence[str], file: Place) -> tuple[Factory, ...]:
    """Reads and checks the `[[factory]]` tables. `roles` are those of rules, and those that no rule reads."""
    if not isinstance(value, list):
        file.inside("factory").refuse("each factory begins with a line [[factory]]")
    return tuple(
        _parse(table, number, roles, file.inside(f"factory {number}")) for number, table in enumerate(value, 1)
    )


def _parse(table: object, number: int, roles: Sequence[str], place: Place) -> Factory:
    values = place.table(table, KEYS)
    contract, event = parse_emitted(values, place)
    creates = place.text(values, "creates", "certificate")
    if creates not in roles:
        place.refuse(f"creates is the role {creates!r}, which no rule has{suggestion(creates, roles)}")
    path, argument = value_named(values.get("address"), event, place.inside("address"))
    if argument.type != "address":
        place.inside("address").refuse(f"{argument.type} {argument.name} is not an address")
    where = parse_where(values.get("where", {}), event, place)
    for condition in where.values():
        if isinstance(condition, RoleAddress | NoRole):
            place.inside("where").refuse("a factory takes values alone, not the address of a role")
    return Factory(number, contract, event, creates, path, where, place.flag(values, "whole"))


def check_factories(factories: Sequence[Factory], rules: Sequence[Rule], calls: Sequence[Call], file: Place) -> None:
    """Raises ProfileError for a rule or a call whose meaning would change with the contracts of a factory's role."""
    created = {factory.creates: factory for factory in factories}
    if not created:
        return
    for rule in rules:
        place = file.inside(rule.title)
        for key, role in (*rule.roles(), *(("join", role) for role in rule.contracts[1:])):
            if role in created:
                place.refuse(f"{key!r} names the role {role!r}, {_filled(created[role])}: it must be known beforehand")
        if NoRole.NO_ROLE in rule.where.values():
            place.refuse(f'"!@" is the address of no watched contract, and {_names(created)} from factories')
        if rule.contract not in created:
            continue
        if rule.fact_type in OF_THE_CHAIN or (rule.subjects and rule.fact_type in OF_OTHERS):
            place.refuse(
                f"{rule.fact_type.__name__} decides about tokens of other contracts, and {rule.contract!r} is a role "
                f"{_filled(created[rule.contract])}. Read it from a contract that CONTRACTS names"
            )
    for number, call in enumerate(calls, start=1):
        for role in call.roles():
            if role in created:
                file.inside(f"call {number}").refuse(
                    f"the role {role!r} is one {_filled(created[role])}: a call needs one address"
                )


def _filled(factory: Factory) -> str:
    return f"which factory {factory.number} ({factory.event.name}) fills"


def _names(created: Mapping[str, Factory]) -> str:
    return f"contracts of {', '.join(map(repr, created))} come"


class Factories:
    """The factories of a profile, compiled for the addresses of their contracts."""

    def __init__(self, factories: Sequence[Factory], addresses: Mapping[str, Sequence[Address]]) -> None:
        self._by_shape: dict[Shape, list[tuple[Factory, Callable[[bytes, bytes], Address | None]]]] = {}
        for factory in factories:
            read = _compile(factory)
            for emitter in addresses.get(factory.contract, ()):
                shape = (emitter, factory.event.topic0, WORD * factory.event.topic_count)
                self._by_shape.setdefault(shape, []).append((factory, read))

    def creation(self, log: EmittedLog) -> Creation | None:
        """Returns the contract that a log creates, None if it creates none. Bytes that do not fit create none."""
        for factory, read in self._by_shape.get(shape_of(log), ()):
            try:
                address = read(log.topics, log.data)
            except DecodeError:
                continue
            if address is not None and address != ZERO_ADDRESS:
                return Creation(factory.creates, address, factory.whole)
        return None


def _compile(factory: Factory) -> Callable[[bytes, bytes], Address | None]:
    names: dict[str, Any] = {}
    guards: dict[int, str] = {}
    for number, (path, value) in enumerate(factory.where.items()):
        names[f"required_{number}"] = value
        guard = f"{value_at(path)} == required_{number}"
        guards[path[0]] = f"{guards[path[0]]} and {guard}" if path[0] in guards else guard
    return compile_expression(factory.event, value_at(factory.address), ("topics", "data"), names, guards)


def same_factories(first: Sequence[Factory], second: Sequence[Factory]) -> bool:
    """Returns whether two profiles watch the same contracts of factories."""
    return [_watches(factory) for factory in first] == [_watches(factory) for factory in second]


def _watches(factory: Factory) -> tuple[object, ...]:
    event = factory.event
    indexed = [argument.indexed for argument in event.inputs]
    where = sorted(factory.where.items(), key=lambda item: item[0])
    return factory.contract, event.topic0, indexed, factory.creates, factory.address, where, factory.whole
