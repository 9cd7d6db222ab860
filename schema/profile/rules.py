"""The rules of a profile: each maps an event of a contract to a fact. `parsing` reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import cached_property
from itertools import combinations

from schema.abi.signature import Argument, EventSignature
from schema.events import DeviceAddressReset, DeviceMinted, Fact, FactoryReset
from schema.profile.errors import Place, suggestion
from schema.profile.values import SUBJECT_OF_ID

JOIN = "join"
"""The name of the joined event in a field, as of a tuple: `join.id`."""

TOKEN_ID = "token_id"
SETTING_ADDRESSES = (DeviceMinted, DeviceAddressReset, FactoryReset)
"""The facts that give a device its address."""


@dataclass(frozen=True, slots=True)
class Constant:
    """`{ const = value }`."""

    value: object


Path = tuple[int, ...]
"""A value of an event: the index of the argument, then of a component of the tuple, and so on."""


class Form(StrEnum):
    """How a text is made of a value that is none: the `as` of a field."""

    TEXT = "text"
    HEX = "hex"
    DECIMAL = "decimal"


@dataclass(frozen=True, slots=True)
class FromArgument:
    """`"argument"`, or `{ arg = "argument", as = "text" }`: the value at `path`."""

    path: Path
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Translated:
    """`{ arg = "argument", map = ..., default = ... }`.

    A value that `table` does not list becomes `default`; without a default it stays as it is.
    """

    path: Path
    table: Mapping[object, object]
    default: object | None


@dataclass(frozen=True, slots=True)
class AtAddress:
    """`{ address = "argument" }`: the id of the device that has this address when the log is emitted."""

    path: Path


Binding = Constant | FromArgument | Translated | AtAddress


@dataclass(frozen=True, slots=True)
class RoleAddress:
    """`"@role"`: any of the addresses of a role."""

    role: str


class NoRole(Enum):
    """`"!@"`: the address of no contract that is watched."""

    NO_ROLE = "!@"


@dataclass(frozen=True, slots=True)
class Join:
    """`[event.join]`: an event of the same transaction, whose arguments the fields may name too.

    `on` has the paths of values that must be equal: of the rule's event, then of the joined one.
    """

    contract: str
    event: EventSignature
    on: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True)
class Rule:
    """`number` counts from 1.

    `subjects` maps an id field to the role whose ids it contains, if they are not ids of the emitter. `where` maps the
    path of a value to the value that it must have. `each` has the paths of arrays: each of their items is a fact.
    """

    number: int
    contract: str
    signature: str
    event: EventSignature
    fact_type: type[Fact]
    fields: Mapping[str, Binding]
    subjects: Mapping[str, str]
    where: Mapping[Path, object]
    first_block: int
    last_block: int
    join: Join | None = None
    each: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        return f"rule {self.number} ({self.signature})"

    @property
    def contracts(self) -> tuple[str, ...]:
        """The roles whose logs the rule reads."""
        return (self.contract,) if self.join is None else (self.contract, self.join.contract)

    @cached_property
    def values(self) -> EventSignature:
        """The event with all values that a field may have: items in place of arrays, and the joined values behind."""
        return with_items(with_join(self.event, self.join), self.each)

    @property
    def by_address(self) -> bool:
        """Whether the event names its device by the address."""
        return isinstance(self.fields.get(TOKEN_ID), AtAddress)

    @property
    def device_role(self) -> str:
        """The role whose tokens are the devices."""
        return self.subjects.get(TOKEN_ID, self.contract)

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yields the key and the role of each reference to another contract."""
        for field, role in self.subjects.items():
            yield SUBJECT_OF_ID[field], role
        for value in self.where.values():
            if isinstance(value, RoleAddress):
                yield "where", value.role


def with_join(event: EventSignature, join: Join | None) -> EventSignature:
    """Returns the event with the joined one behind its arguments, as a tuple."""
    if join is None:
        return event
    arguments = join.event.inputs
    joined = Argument(JOIN, f"({','.join(argument.type for argument in arguments)})", False, arguments)
    return EventSignature(event.name, (*event.inputs, joined))


def with_items(event: EventSignature, each: Sequence[Path]) -> EventSignature:
    """Returns the event with the items of arrays in their place."""
    return EventSignature(event.name, _items(event.inputs, each)) if each else event


def _items(arguments: Sequence[Argument], each: Sequence[Path]) -> tuple[Argument, ...]:
    return tuple(
        (argument.element or argument)
        if (index,) in each
        else replace(argument, components=_items(argument.components, _below(index, each)))
        for index, argument in enumerate(arguments)
    )


def _below(index: int, paths: Sequence[Path]) -> list[Path]:
    return [path[1:] for path in paths if path[0] == index]


def check_rules(rules: Sequence[Rule], file: Place) -> None:
    """Raises ProfileError for a reference to a role without rules, and for two rules that could match the same log."""
    roles = {role for rule in rules for role in rule.contracts}
    for rule in rules:
        for key, role in rule.roles():
            if role not in roles:
                file.inside(rule.title).refuse(
                    f"{key!r} names the role {role!r}, which no rule has{suggestion(role, roles)}"
                )
    _check_addresses(rules, file)
    for earlier, later in combinations(rules, 2):
        if _may_match_one_log(earlier, later):
            file.inside(later.title).refuse(
                f"rule {earlier.number} already matches this event of {later.contract!r} with "
                f"{later.event.topic_count} topics; distinguish them by first_block, last_block or where"
            )


def _check_addresses(rules: Sequence[Rule], file: Place) -> None:
    """Raises ProfileError for a rule that names devices by addresses that no rule sets."""
    known = {rule.device_role for rule in rules if rule.fact_type in SETTING_ADDRESSES and "address" in rule.fields}
    for rule in rules:
        if rule.by_address and rule.device_role not in known:
            names = ", ".join(fact_type.__name__ for fact_type in SETTING_ADDRESSES)
            file.inside(rule.title).refuse(
                f"no rule sets the addresses of the devices of {rule.device_role!r}: set 'address' in a rule for one "
                f'of {names}, or name the contract of the devices, such as token = "certificate"'
            )


def _may_match_one_log(first: Rule, second: Rule) -> bool:
    if first.contract != second.contract or first.event.topic0 != second.event.topic0:
        return False
    if first.event.topic_count != second.event.topic_count:
        return False
    if first.last_block < second.first_block or second.last_block < first.first_block:
        return False
    same_places = [a.indexed for a in first.event.inputs] == [a.indexed for a in second.event.inputs]
    return not (
        same_places and any(_differ(first.where[i], second.where[i]) for i in first.where.keys() & second.where.keys())
    )


def _differ(first: object, second: object) -> bool:
    """Whether no value equals both. The address of a role may be any address, but no address has two roles."""
    if isinstance(first, NoRole) or isinstance(second, NoRole):
        return isinstance(first, RoleAddress) or isinstance(second, RoleAddress)
    return first != second and isinstance(first, RoleAddress) == isinstance(second, RoleAddress)
