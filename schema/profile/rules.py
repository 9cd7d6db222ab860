"""A rule of a profile: the `[[event]]` table that maps an event of a contract to a fact."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from schema.abi.signature import Argument, EventSignature, SignatureError, parse_event
from schema.events import FACT_TYPES, Fact
from schema.profile.errors import Place, suggestion, toml
from schema.profile.values import FACT_FIELDS, FactField, Holds, argument_value, field_value
from schema.tables.values import MAX_BLOCK_NUMBER


@dataclass(frozen=True, slots=True)
class Constant:
    """`{ const = value }`."""

    value: object


@dataclass(frozen=True, slots=True)
class FromArgument:
    """`"argument"`: the value of the argument at `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class Translated:
    """`{ arg = "argument", map = ..., default = ... }`.

    A value that `table` does not list becomes `default`; without a default it stays as it is.
    """

    index: int
    table: Mapping[object, object]
    default: object | None


Binding = Constant | FromArgument | Translated


@dataclass(frozen=True, slots=True)
class RoleAddress:
    """`"@role"`: any of the addresses of a role."""

    role: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` counts from 1.

    `subjects` maps an id field to the role whose ids it contains, if they are not ids of the emitter. `where` maps the
    index of an argument to the value that it must have.
    """

    number: int
    contract: str
    signature: str
    event: EventSignature
    fact_type: type[Fact]
    fields: Mapping[str, Binding]
    subjects: Mapping[str, str]
    where: Mapping[int, object]
    first_block: int
    last_block: int

    @property
    def title(self) -> str:
        return f"rule {self.number} ({self.signature})"

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yields the key and the role of each reference to another contract."""
        for field, role in self.subjects.items():
            yield SUBJECT_OF_ID[field], role
        for value in self.where.values():
            if isinstance(value, RoleAddress):
                yield "where", value.role


ID_OF_SUBJECT = {
    "token": "token_id",
    "manufacturer": "manufacturer_id",
    "hardware_license": "hardware_license_id",
    "vehicle": "vehicle_id",
    "license": "license_id",
}
"""The keys of a rule that name the role whose ids a field contains, in the order of the contracts of `Mapped`."""

SUBJECT_OF_ID = {field: subject for subject, field in ID_OF_SUBJECT.items()}
RULE_KEYS = ("contract", "signature", "fact", "fields", "where", "first_block", "last_block", *ID_OF_SUBJECT)
ROLE = re.compile("[A-Za-z0-9_-]+")
BINDING_KEYS = ("arg", "const", "map", "default")


def parse_rule(table: object, number: int, file: Place) -> Rule:
    """Reads and checks one `[[event]]` table. Raises ProfileError with the rule's number, signature and field."""
    place = file.inside(f"rule {number}")
    written = table.get("signature") if isinstance(table, dict) else None
    signature = " ".join(written.split()) if isinstance(written, str) else ""
    if signature:
        place = file.inside(f"rule {number} ({signature})")
    values = place.table(table, RULE_KEYS)
    contract = place.text(values, "contract", "certificate")
    if not ROLE.fullmatch(contract):
        place.refuse(f"{toml(contract)} is not a role name: use letters, digits, - and _")
    event = _event(place.text(values, "signature", "Transfer(address indexed from, address indexed to, ...)"), place)
    fact_type = _fact_type(place.text(values, "fact", "DeviceMinted"), place)
    fields = _fields(values.get("fields", {}), event, fact_type, place)
    first_block, last_block = (
        place.block_number(values, "first_block", 0),
        place.block_number(values, "last_block", MAX_BLOCK_NUMBER),
    )
    if first_block > last_block:
        place.refuse(f"first_block {first_block} is above last_block {last_block}, so the rule never applies")
    return Rule(
        number=number,
        contract=contract,
        signature=signature,
        event=event,
        fact_type=fact_type,
        fields=fields,
        subjects=_subjects(values, fields, fact_type, place),
        where=_where(values.get("where", {}), event, place),
        first_block=first_block,
        last_block=last_block,
    )


def check_rules(rules: Sequence[Rule], file: Place) -> None:
    """Raises ProfileError for a reference to a role without rules, and for two rules that could match the same log."""
    roles = {rule.contract for rule in rules}
    for rule in rules:
        for key, role in rule.roles():
            if role not in roles:
                file.inside(rule.title).refuse(
                    f"{key!r} names the role {role!r}, which no rule has{suggestion(role, roles)}"
                )
    for earlier, later in combinations(rules, 2):
        if _may_match_one_log(earlier, later):
            file.inside(later.title).refuse(
                f"rule {earlier.number} already matches this event of {later.contract!r} with "
                f"{later.event.topic_count} topics; distinguish them by first_block, last_block or where"
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
    return first != second and isinstance(first, RoleAddress) == isinstance(second, RoleAddress)


def _event(signature: str, place: Place) -> EventSignature:
    try:
        return parse_event(signature)
    except SignatureError as error:
        place.refuse(f"signature: {error}")


def _fact_type(name: str, place: Place) -> type[Fact]:
    if name not in FACT_TYPES:
        place.refuse(f"unknown fact {name!r}{suggestion(name, FACT_TYPES)}")
    return FACT_TYPES[name]


def _fields(value: object, event: EventSignature, fact_type: type[Fact], place: Place) -> Mapping[str, Binding]:
    declared = FACT_FIELDS[fact_type]
    example = 'fields = { token_id = "tokenId" }'
    table = place.inside("fields").table(value, declared, example)
    for field in declared.values():
        if field.required and field.name not in table:
            place.refuse(
                f"{fact_type.__name__} needs the field {field.name!r}. Example: fields = {{ {field.name} = ... }}"
            )
    return {
        name: _binding(declared[name], value, event, place.inside(f"field {name!r}")) for name, value in table.items()
    }


def _binding(field: FactField, written: object, event: EventSignature, place: Place) -> Binding:
    if isinstance(written, str):
        written = {"arg": written}
    table = place.table(written, BINDING_KEYS, f'{field.name} = "argument"')
    if ("arg" in table) == ("const" in table):
        place.refuse('write either arg = "argument" or const = value')
    if "const" in table:
        if len(table) > 1:
            place.refuse("a const takes neither map nor default")
        return Constant(field_value(field, table["const"], place))
    index = _argument_index(table["arg"], event, place)
    if "map" in table:
        return _translated(field, event.inputs[index], index, table, place)
    if "default" in table:
        place.refuse("default is for values that a map does not list, and there is no map")
    if not field.takes(event.inputs[index]):
        place.refuse(_misfit(field, event.inputs[index]))
    return FromArgument(index)


def _translated(field: FactField, argument: Argument, index: int, table: Mapping[str, Any], place: Place) -> Translated:
    if field.holds is Holds.SOURCE:
        place.refuse(_misfit(field, argument))
    inside = place.inside("map")
    entries: dict[object, object] = {}
    for key, value in inside.table(table["map"], (), 'map = { "0" = "IN_CIRCUIT" }').items():
        argument_key = argument_value(argument, key, inside)
        if argument_key in entries:
            inside.refuse(f"{toml(key)} is listed twice")
        entries[argument_key] = field_value(field, value, inside)
    if not entries:
        inside.refuse("lists nothing")
    if "default" in table:
        return Translated(index, entries, field_value(field, table["default"], place.inside("default")))
    complete = argument.type == "bool" and len(entries) == 2
    if not complete and not field.takes(argument):
        place.refuse(
            f"a value of {_name(argument)} that the map does not list is not {field.holds}; "
            "give a default for it. Example: default = ..."
        )
    return Translated(index, entries, None)


def _argument_index(name: object, event: EventSignature, place: Place) -> int:
    names = [argument.name for argument in event.inputs]
    if not isinstance(name, str) or not name:
        place.refuse(f"arg is {toml(name)}, expected the name of an argument")
    if name not in names:
        place.refuse(f"no argument {name!r} in the signature{suggestion(name, filter(None, names))}")
    return names.index(name)


def _misfit(field: FactField, argument: Argument) -> str:
    if field.holds is Holds.SOURCE:
        return 'a source is the grant system of the whole rule: write { const = "..." }'
    if field.holds is Holds.TEST_KIND:
        return f"{_name(argument)} is not {field.holds}: write a const, or a map with a default"
    if argument.hashed:
        return f"{_name(argument)} is indexed, so the log contains only its hash, which is not {field.holds}"
    return f"{_name(argument)} is not {field.holds}"


def _name(argument: Argument) -> str:
    return f"{argument.type} {argument.name}"


def _subjects(
    values: Mapping[str, Any], fields: Mapping[str, Binding], fact_type: type[Fact], place: Place
) -> Mapping[str, str]:
    subjects = {}
    for subject, field in ID_OF_SUBJECT.items():
        if subject not in values:
            continue
        if field not in fields:
            place.refuse(
                f"{subject!r} names the contract of {field}, but the rule sets no {field} of {fact_type.__name__}"
            )
        subjects[field] = place.text(values, subject, "certificate")
    return subjects


def _where(value: object, event: EventSignature, place: Place) -> Mapping[int, object]:
    table = place.inside("where").table(value, (), 'where = { asset = "@certificate" }')
    return {
        _argument_index(name, event, place.inside("where")): _condition(name, value, event, place)
        for name, value in table.items()
    }


def _condition(name: str, value: object, event: EventSignature, place: Place) -> object:
    place = place.inside(f"where {name!r}")
    argument = event.inputs[_argument_index(name, event, place)]
    if not isinstance(value, str) or not value.startswith("@") or argument.type == "string":
        return argument_value(argument, value, place)
    if argument.type != "address":
        place.refuse(f"{toml(value)} is the address of a role, and {_name(argument)} is not an address")
    return RoleAddress(value[1:])
