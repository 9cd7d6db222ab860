"""One rule of a profile: an event of one contract, read as one fact."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from schema.abi.decoder import Argument, EventSignature, SignatureError, parse_event
from schema.events import FACT_TYPES, Fact
from schema.profile.errors import LAST_BLOCK, Place, suggestion, toml
from schema.profile.values import FACT_FIELDS, FactField, Holds, argument_value, field_value


@dataclass(frozen=True, slots=True)
class Constant:
    value: object


@dataclass(frozen=True, slots=True)
class FromArgument:
    """The value of an argument, given by its index."""

    index: int


@dataclass(frozen=True, slots=True)
class Translated:
    """What `table` gives for an argument's value; one not listed becomes `default`, or stays if there is none."""

    index: int
    table: Mapping[object, object]
    default: object | None


Binding = Constant | FromArgument | Translated


@dataclass(frozen=True, slots=True)
class RoleAddress:
    """Any of the addresses of a role, as the value that `where` asks of an argument."""

    role: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` counts from 1. `subjects` gives, by id field, the role whose ids it holds, where not the emitter's."""

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
        """Yield the key and the role of each reference to another contract."""
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
"""The keys of a rule that say whose ids a field holds, in the order of the contracts of `Mapped`."""

SUBJECT_OF_ID = {field: subject for subject, field in ID_OF_SUBJECT.items()}
RULE_KEYS = ("contract", "signature", "fact", "fields", "where", "first_block", "last_block", *ID_OF_SUBJECT)
ROLE = re.compile("[A-Za-z0-9_-]+")
BINDING_KEYS = ("arg", "const", "map", "default")


def parse_rule(table: object, number: int, file: Place) -> Rule:
    """Read and check one `[[event]]`. Raises `ProfileError` with the rule's number, signature and field."""
    place = file.inside(f"rule {number}")
    written = table.get("signature") if isinstance(table, dict) else None
    signature = " ".join(written.split()) if isinstance(written, str) else ""
    if signature:
        place = file.inside(f"rule {number} ({signature})")
    values = place.table(table, RULE_KEYS)
    contract = place.text(values, "contract", "certificate")
    if not ROLE.fullmatch(contract):
        place.refuse(f"{toml(contract)} is no role: use letters, digits, - and _")
    event = _event(place.text(values, "signature", "Transfer(address indexed from, address indexed to, ...)"), place)
    fact_type = _fact_type(place.text(values, "fact", "DeviceMinted"), place)
    fields = _fields(values.get("fields", {}), event, fact_type, place)
    first_block, last_block = place.count(values, "first_block", 0), place.count(values, "last_block", LAST_BLOCK)
    if first_block > last_block:
        place.refuse(f"first_block {first_block} comes after last_block {last_block}, so the rule never applies")
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
    """Refuse references to roles without rules, and two rules that could claim one log."""
    roles = {rule.contract for rule in rules}
    for rule in rules:
        for key, role in rule.roles():
            if role not in roles:
                file.inside(rule.title).refuse(
                    f"{key!r} names the role {role!r}, which no rule has{suggestion(role, roles)}"
                )
    for earlier, later in combinations(rules, 2):
        if _may_claim_one_log(earlier, later):
            file.inside(later.title).refuse(
                f"rule {earlier.number} already claims this event of {later.contract!r} with "
                f"{later.event.topic_count} topics; tell them apart by first_block and last_block, or by where"
            )


def _may_claim_one_log(one: Rule, other: Rule) -> bool:
    if one.contract != other.contract or one.event.topic0 != other.event.topic0:
        return False
    if one.event.topic_count != other.event.topic_count:
        return False
    if one.last_block < other.first_block or other.last_block < one.first_block:
        return False
    same_places = [a.indexed for a in one.event.inputs] == [a.indexed for a in other.event.inputs]
    return not (
        same_places and any(_differ(one.where[i], other.where[i]) for i in one.where.keys() & other.where.keys())
    )


def _differ(one: object, other: object) -> bool:
    """Tell whether no value is both; a role's address may be any, but no address has two roles."""
    return one != other and isinstance(one, RoleAddress) == isinstance(other, RoleAddress)


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
    known = FACT_FIELDS[fact_type]
    example = 'fields = { token_id = "tokenId" }'
    table = place.inside("fields").table(value, known, example)
    for field in known.values():
        if field.required and field.name not in table:
            place.refuse(
                f"{fact_type.__name__} needs the field {field.name!r}. Example: fields = {{ {field.name} = ... }}"
            )
    return {
        name: _binding(known[name], written, event, place.inside(f"field {name!r}")) for name, written in table.items()
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
        place.refuse("default stands for what a map does not list, and there is no map")
    if not field.takes(event.inputs[index]):
        place.refuse(_no_fit(field, event.inputs[index]))
    return FromArgument(index)


def _translated(field: FactField, argument: Argument, index: int, table: Mapping[str, Any], place: Place) -> Translated:
    if field.holds is Holds.SOURCE:
        place.refuse(_no_fit(field, argument))
    inside = place.inside("map")
    entries: dict[object, object] = {}
    for key, value in inside.table(table["map"], (), 'map = { "0" = "IN_CIRCUIT" }').items():
        read = argument_value(argument, key, inside)
        if read in entries:
            inside.refuse(f"{toml(key)} is listed twice")
        entries[read] = field_value(field, value, inside)
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


def _no_fit(field: FactField, argument: Argument) -> str:
    if field.holds is Holds.SOURCE:
        return 'a source names the grant system of the whole rule: write { const = "..." }'
    if field.holds is Holds.TEST_KIND:
        return f"{_name(argument)} is not {field.holds}: write a const, or a map with a default"
    if argument.hashed:
        return f"{_name(argument)} is indexed, so that the log holds only its hash, which is not {field.holds}"
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
                f"{subject!r} says whose ids {field} holds, but the rule gives {fact_type.__name__} no {field}"
            )
        subjects[field] = place.text(values, subject, "certificate")
    return subjects


def _where(value: object, event: EventSignature, place: Place) -> Mapping[int, object]:
    table = place.inside("where").table(value, (), 'where = { asset = "@certificate" }')
    return {
        _argument_index(name, event, place.inside("where")): _wanted(name, wanted, event, place)
        for name, wanted in table.items()
    }


def _wanted(name: str, wanted: object, event: EventSignature, place: Place) -> object:
    place = place.inside(f"where {name!r}")
    argument = event.inputs[_argument_index(name, event, place)]
    if not isinstance(wanted, str) or not wanted.startswith("@") or argument.type == "string":
        return argument_value(argument, wanted, place)
    if argument.type != "address":
        place.refuse(f"{toml(wanted)} is the address of a role, and {_name(argument)} is no address")
    return RoleAddress(wanted[1:])
