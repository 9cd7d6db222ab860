"""Reads and checks the `[[event]]` tables of a profile."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schema.abi.signature import Argument, EventSignature, SignatureError, parse_event
from schema.events import FACT_TYPES, AboutSubject, DeviceMinted, Fact
from schema.profile.errors import Place, suggestion, toml
from schema.profile.rules import (
    JOIN,
    TOKEN_ID,
    AtAddress,
    Binding,
    Constant,
    Form,
    FromArgument,
    Join,
    NoRole,
    Path,
    RoleAddress,
    Rule,
    Translated,
    with_items,
    with_join,
)
from schema.profile.values import FACT_FIELDS, ID_OF_SUBJECT, FactField, Holds, argument_value, field_value
from schema.tables.values import MAX_BLOCK_NUMBER

RULE_KEYS = (
    *("contract", "signature", "fact", "fields", "each", "where", "join", "first_block", "last_block"),
    *ID_OF_SUBJECT,
)
JOIN_KEYS = ("contract", "signature", "on")
BINDING_KEYS = ("arg", "as", "const", "map", "default", "address")
ROLE = re.compile("[A-Za-z0-9_-]+")


def parse_rule(table: object, number: int, file: Place) -> Rule:
    """Reads and checks one `[[event]]` table. Raises ProfileError with the rule's number, signature and field."""
    place = file.inside(f"rule {number}")
    written = table.get("signature") if isinstance(table, dict) else None
    signature = " ".join(written.split()) if isinstance(written, str) else ""
    if signature:
        place = file.inside(f"rule {number} ({signature})")
    values = place.table(table, RULE_KEYS)
    contract, event = parse_emitted(values, place)
    fact_type = _fact_type(place.text(values, "fact", "DeviceMinted"), place)
    join = _join(values["join"], contract, event, place.inside("join")) if "join" in values else None
    all_values = with_join(event, join)
    each = _each(values["each"], all_values, place.inside("each")) if "each" in values else ()
    fields = _fields(values.get("fields", {}), with_items(all_values, each), fact_type, place)
    for path in each:
        if not any(_is_inside(binding, path) for binding in fields.values()):
            name = _name_of(path, all_values)
            place.inside("each").refuse(f"no field names an item of {name}. Example: token_id = {toml(name)}")
    if join is not None and not any(_names_join(binding, event) for binding in fields.values()):
        place.inside("join").refuse(f'no field names a value of {join.event.name}. Example: token_id = "join.id"')
    first_block, last_block = (
        place.block_number(values, "first_block", 0),
        place.block_number(values, "last_block", MAX_BLOCK_NUMBER),
    )
    if first_block > last_block:
        place.refuse(f"first_block {first_block} is above last_block {last_block}, so the rule never applies")
    _check_where(values.get("where", {}), all_values, each, place.inside("where"))
    return Rule(
        number=number,
        contract=contract,
        signature=signature,
        event=event,
        fact_type=fact_type,
        fields=fields,
        subjects=_subjects(values, fields, fact_type, place),
        where=parse_where(values.get("where", {}), event, place),
        first_block=first_block,
        last_block=last_block,
        join=join,
        each=each,
    )


def parse_emitted(values: Mapping[str, Any], place: Place) -> tuple[str, EventSignature]:
    """Returns the role of the contract and the event that a table names."""
    contract = place.text(values, "contract", "certificate")
    if not ROLE.fullmatch(contract):
        place.refuse(f"{toml(contract)} is not a role name: use letters, digits, - and _")
    example = "Transfer(address indexed from, address indexed to, ...)"
    return contract, _event(place.text(values, "signature", example), place)


def _join(table: object, contract: str, event: EventSignature, place: Place) -> Join:
    values = place.table(table, JOIN_KEYS, 'join = { contract = "registry", signature = "Paid(uint256 id)" }')
    joined_contract, joined = parse_emitted(values, place)
    if (joined_contract, joined.topic0, joined.topic_count) == (contract, event.topic0, event.topic_count):
        place.refuse(f"{joined.name} is the event of the rule itself: join another one")
    if any(argument.name == JOIN for argument in event.inputs):
        place.refuse(f"an argument of {event.name} is named {JOIN!r} too: give it another name, which changes no topic")
    inside = place.inside("on")
    pairs = inside.table(values.get("on", {}), (), 'on = { owner = "owner" }').items()
    return Join(joined_contract, joined, tuple(_equal(own, other, event, joined, inside) for other, own in pairs))


def _equal(own: object, other: str, event: EventSignature, joined: EventSignature, place: Place) -> tuple[Path, Path]:
    own_path, own_argument = value_named(own, event, place)
    other_path, other_argument = value_named(other, joined, place)
    if (own_argument.type, own_argument.hashed) != (other_argument.type, other_argument.hashed):
        place.refuse(
            f"{_name(other_argument)} of {joined.name} never equals {_name(own_argument)} of {event.name}: "
            "both must have the same type, and be indexed or not if it is a text, bytes, an array or a tuple"
        )
    return own_path, other_path


def _names_join(binding: Binding, event: EventSignature) -> bool:
    return _is_inside(binding, (len(event.inputs),))


def _is_inside(binding: Binding, path: Path) -> bool:
    return not isinstance(binding, Constant) and binding.path[: len(path)] == path


def _each(written: object, values: EventSignature, place: Place) -> tuple[Path, ...]:
    """Returns the paths of the arrays whose items are facts."""
    names = [written] if isinstance(written, str) else written
    if not isinstance(names, list) or not names:
        place.refuse(f'is {toml(written)}, expected an array of the event, or a list of them. Example: each = "ids"')
    paths: list[Path] = []
    for name in names:
        path, argument = value_named(name, values, place)
        if argument.element is None:
            place.refuse(f"{_name(argument)} is not an array")
        if argument.hashed:
            place.refuse(f"{_name(argument)} is indexed, so the log contains only its hash")
        if path in paths:
            place.refuse(f"{toml(name)} is listed twice")
        paths.append(path)
    return tuple(paths)


def _check_where(where: object, values: EventSignature, each: Sequence[Path], place: Place) -> None:
    """Raises ProfileError for a condition on an item: a rule matches a whole log."""
    items = {
        argument.name: path
        for path, argument in _values(with_items(values, each).inputs)
        if any(path[: len(array)] == array for array in each)
    }
    for name in where if isinstance(where, dict) else ():
        if name in items:
            place.refuse(f"a rule matches a whole log, and {toml(name)} is another one for each item")


def _name_of(path: Path, values: EventSignature) -> str:
    return next(argument.name for other, argument in _values(values.inputs) if other == path)


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
    if issubclass(fact_type, AboutSubject) and len(table.keys() & set(fact_type.one_of)) != 1:
        place.refuse(f"{fact_type.__name__} needs exactly one of the fields {', '.join(fact_type.one_of)}")
    return {
        name: _binding(declared[name], value, event, fact_type, place.inside(f"field {name!r}"))
        for name, value in table.items()
    }


def _binding(field: FactField, written: object, event: EventSignature, fact_type: type[Fact], place: Place) -> Binding:
    if isinstance(written, str):
        written = {"arg": written}
    table = place.table(written, BINDING_KEYS, f'{field.name} = "argument"')
    if "address" in table:
        return _at_address(field, table, event, fact_type, place)
    if ("arg" in table) == ("const" in table):
        place.refuse('write either arg = "argument" or const = value')
    if "const" in table:
        if len(table) > 1:
            place.refuse("a const takes neither map nor default nor as")
        return Constant(field_value(field, table["const"], place))
    path, argument = value_named(table["arg"], event, place)
    if "map" in table:
        if "as" in table:
            place.refuse("as is for values that no map translates")
        return _translated(field, argument, path, table, place)
    if "default" in table:
        place.refuse("default is for values that a map does not list, and there is no map")
    if "as" in table:
        return FromArgument(path, _form(field, argument, table["as"], place))
    if not field.takes(argument):
        place.refuse(_misfit(field, argument))
    return FromArgument(path)


def _at_address(
    field: FactField, table: Mapping[str, Any], event: EventSignature, fact_type: type[Fact], place: Place
) -> Binding:
    if field.name != TOKEN_ID:
        place.refuse(f'an address names a device, which is {TOKEN_ID}: write {field.name} = "argument"')
    if fact_type is DeviceMinted:
        place.refuse("DeviceMinted begins a device, so no device has its address yet: name the token")
    if len(table) > 1:
        place.refuse("an address takes neither arg nor const nor map nor default nor as")
    path, argument = value_named(table["address"], event, place)
    if argument.type != "address":
        place.refuse(f"{_name(argument)} is not an address")
    return AtAddress(path)


def _form(field: FactField, argument: Argument, written: object, place: Place) -> Form:
    if written not in list(Form):
        place.refuse(f"as is {toml(written)}{suggestion(str(written), Form)}")
    if field.holds not in TEXTS:
        place.refuse(f"as makes a text, and this field is {field.holds}")
    form = Form(str(written))
    if not FORMS[form](argument):
        place.refuse(f'{_name(argument)} has no form as = "{form}"; {FORMS_TEXT}')
    return form


FORMS: Mapping[Form, Callable[[Argument], bool]] = {
    Form.TEXT: lambda argument: argument.is_bytes and not argument.hashed,
    Form.HEX: lambda argument: argument.is_bytes or argument.hashed or argument.type == "address",
    Form.DECIMAL: lambda argument: argument.is_number,
}
TEXTS = (Holds.TEXT, Holds.SCOPE)
FORMS_TEXT = "text is for bytes, hex for bytes, addresses and hashes, decimal for numbers"


def _translated(field: FactField, argument: Argument, path: Path, table: Mapping[str, Any], place: Place) -> Translated:
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
        return Translated(path, entries, field_value(field, table["default"], place.inside("default")))
    complete = argument.type == "bool" and len(entries) == 2
    if not complete and not field.takes(argument):
        place.refuse(
            f"a value of {_name(argument)} that the map does not list is not {field.holds}; "
            "give a default for it. Example: default = ..."
        )
    return Translated(path, entries, None)


def value_named(name: object, event: EventSignature, place: Place) -> tuple[Path, Argument]:
    """Returns the path and the type of an argument, or of the component of a tuple."""
    values = {argument.name: (path, argument) for path, argument in _values(event.inputs) if argument.name}
    if not isinstance(name, str) or not name:
        place.refuse(f"arg is {toml(name)}, expected the name of an argument")
    if name not in values:
        place.refuse(f"no argument {name!r} in the signature{suggestion(name, values)}")
    return values[name]


def _values(arguments: Sequence[Argument], before: Path = (), prefix: str = "") -> Iterator[tuple[Path, Argument]]:
    """Yields the paths and types of arguments, and of the named components of tuples as `tuple.component`."""
    for index, argument in enumerate(arguments):
        path = (*before, index)
        named = replace(argument, name=f"{prefix}{argument.name}" if argument.name else "")
        yield path, named
        if named.name and argument.element is None and not argument.hashed:
            yield from _values(argument.components, path, f"{named.name}.")


def _misfit(field: FactField, argument: Argument) -> str:
    if field.holds is Holds.SOURCE:
        return 'a source is the grant system of the whole rule: write { const = "..." }'
    if field.holds is Holds.TEST_KIND:
        return f"{_name(argument)} is not {field.holds}: write a const, or a map with a default"
    if argument.hashed:
        return f"{_name(argument)} is indexed, so the log contains only its hash, which is not {field.holds}"
    forms = [f'{{ arg = "{argument.name}", as = "{form}" }}' for form in Form if FORMS[form](argument)]
    way_out = f": write {' or '.join(forms)}" if forms and field.holds in TEXTS else ""
    return f"{_name(argument)} is not {field.holds}{way_out}"


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


def parse_where(value: object, event: EventSignature, place: Place) -> Mapping[Path, object]:
    """Returns the values that a log must have, by their paths. Raises ProfileError."""
    table = place.inside("where").table(value, (), 'where = { asset = "@certificate" }')
    return {
        value_named(name, event, place.inside("where"))[0]: _condition(name, value, event, place)
        for name, value in table.items()
    }


def _condition(name: str, value: object, event: EventSignature, place: Place) -> object:
    place = place.inside(f"where {name!r}")
    _, argument = value_named(name, event, place)
    if not isinstance(value, str) or not value.startswith(("@", "!@")) or argument.type == "string":
        return argument_value(argument, value, place)
    if value.startswith("!@") and value != NoRole.NO_ROLE.value:
        place.refuse(f'{toml(value)} is not a condition: write "!@" for the address of no watched contract')
    if argument.type != "address":
        place.refuse(f"{toml(value)} is the address of a role, and {_name(argument)} is not an address")
    return NoRole.NO_ROLE if value.startswith("!") else RoleAddress(value[1:])
