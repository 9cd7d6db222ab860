"""The code by which a rule reads a log: Python expressions of its fact, which `schema/abi/decoder.py` compiles.

An expression names the values of the event (`value_at`), and objects that are passed in `names`. No text of a profile
enters an expression.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schema.abi.decoder import compile_expression, variable
from schema.abi.keccak import checksummed
from schema.abi.nested import clean_text
from schema.abi.words import DecodeError
from schema.events import AboutSubject, Address, Fact
from schema.profile.joins import tuple_of, value_at
from schema.profile.rules import (
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
)
from schema.profile.values import FACT_FIELDS, Holds

Addresses = Mapping[str, Sequence[Address]]

MOST_ITEMS = 10_000
"""Facts of one log. A transaction of 30 million gas cannot write more devices than that to a contract's storage."""


class RuleCode(NamedTuple):
    """The functions of a rule. They return None if the rule's `where` does not hold, and raise DecodeError.

    `read(topics, data)` returns the fact, or with `each` a list of facts. If the rule joins an event, `read` takes the
    joined arguments too, and `equal(topics, data)` returns the values in which the joined log must be equal.
    """

    read: Callable[..., Any]
    equal: Callable[[bytes, bytes], Hashable | None] | None


def compile_rule(rule: Rule, addresses: Addresses) -> RuleCode:
    """Generates the functions of a rule. `addresses` has those of all roles that it needs."""
    names: dict[str, object] = {"Fact": rule.fact_type, "natural": _natural, **TEXT_OF}
    guards = _guards(rule, addresses, names)
    fact = _facts(rule, addresses, names) if rule.each else _fact(rule, addresses, names)
    log = ("topics", "data")
    read = compile_expression(rule.event, fact, (*log, *_joined(rule)), names, guards)
    equal = compile_expression(rule.event, _equal(rule.join), log, names, guards) if rule.join else None
    return RuleCode(read, equal)


def is_watched(rule: Rule, addresses: Addresses) -> bool:
    """Returns whether all contracts that a rule needs are watched."""
    needed = [role for field, role in rule.subjects.items() if _is_needed(rule.fact_type, field)]
    needed += [value.role for value in rule.where.values() if isinstance(value, RoleAddress)]
    needed += rule.contracts
    return all(addresses.get(role) for role in needed)


def _fact(rule: Rule, addresses: Addresses, names: dict[str, object]) -> str:
    """Returns the expression of a rule's fact."""
    # an optional id of a contract that is not watched stays unknown
    unwatched = {field for field, role in rule.subjects.items() if not addresses.get(role)}
    arguments = ", ".join(
        f"{field}={_expression(rule, field, binding, names)}"
        for field, binding in rule.fields.items()
        if field not in unwatched
    )
    return f"Fact({arguments})"


def _facts(rule: Rule, addresses: Addresses, names: dict[str, object]) -> str:
    """Returns the expression of the facts of a rule: one for each item of its arrays."""
    labels = [_label(path, rule) for path in rule.each]
    names["items"] = lambda *arrays: _items(labels, arrays)
    items = tuple_of(_item(number) for number in range(len(rule.each)))
    return f"[{_fact(rule, addresses, names)} for {items} in items({', '.join(map(value_at, rule.each))})]"


def _item(number: int) -> str:
    """Returns the name of an array's item inside a generated function."""
    return f"item{number}"


def _label(path: Path, rule: Rule) -> str:
    return rule.values.value(path).name


def _items(labels: Sequence[str], arrays: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Returns the items of arrays side by side. Raises DecodeError if their lengths differ, or are too large."""
    lengths = list(map(len, arrays))
    if len(set(lengths)) > 1:
        counts = ", ".join(f"{label} has {length}" for label, length in zip(labels, lengths, strict=True))
        raise DecodeError(f"the arrays differ in length: {counts}")
    if lengths[0] > MOST_ITEMS:
        raise DecodeError(f"{labels[0]} has {lengths[0]} items; a log can be at most {MOST_ITEMS} facts")
    return zip(*arrays, strict=True)


def _at(rule: Rule, path: Path) -> str:
    """Returns the expression of a value of a rule: inside an array of `each`, of an item."""
    for number, array in enumerate(rule.each):
        if path[: len(array)] == array:
            return _item(number) + "".join(f"[{index}]" for index in path[len(array) :])
    return value_at(path)


def _guards(rule: Rule, addresses: Addresses, names: dict[str, object]) -> Mapping[int, str]:
    guards: dict[int, str] = {}
    for number, (path, value) in enumerate(rule.where.items()):
        guard = _guard(number, path, value, addresses, names)
        guards[path[0]] = f"{guards[path[0]]} and {guard}" if path[0] in guards else guard
    return guards


def _joined(rule: Rule) -> list[str]:
    """Returns the parameter of a generated function that has the joined arguments, if the rule joins an event."""
    return [] if rule.join is None else [variable(len(rule.event.inputs))]


def _equal(join: Join) -> str:
    return tuple_of(value_at(own) for own, _ in join.on)


def _is_needed(fact_type: type[Fact], field: str) -> bool:
    """Whether the fact says nothing without the field."""
    return FACT_FIELDS[fact_type][field].required or (issubclass(fact_type, AboutSubject) and field in fact_type.one_of)


def _expression(rule: Rule, field: str, binding: Binding, names: dict[str, object]) -> str:
    match binding:
        case Constant(value):
            names[f"constant_{field}"] = value
            return f"constant_{field}"
        case FromArgument(path, form):
            return _plain(rule, field, path) if form is None else _text(rule, path, form)
        case AtAddress(path):
            return f"number({_at(rule, path)})"
        case Translated(path, table, default):
            names[f"table_{field}"] = table
            names[f"default_{field}"] = default
            fallback = _plain(rule, field, path) if default is None else f"default_{field}"
            return f"(table_{field}[{_at(rule, path)}] if {_at(rule, path)} in table_{field} else {fallback})"


def _text(rule: Rule, path: Path, form: Form) -> str:
    name = "address" if form is Form.HEX and rule.values.value(path).type == "address" else form
    return f"{name}_text({_at(rule, path)})"


def _plain(rule: Rule, field: str, path: Path) -> str:
    value = _at(rule, path)
    argument = rule.values.value(path)
    holds = FACT_FIELDS[rule.fact_type][field].holds
    if holds is Holds.SCOPE and argument.type != "string":
        return f"str({value})"
    if holds is Holds.ID and not argument.is_number:
        return f"number({value})"
    if argument.type.startswith("int") and not argument.hashed:
        return f"natural({value}, {argument.name!r})"
    return value


def _natural(number: int, name: str) -> int:
    """Returns a number of a fact. Raises DecodeError if it is negative, which facts do not allow."""
    if number < 0:
        raise DecodeError(f"{name}: {number} is negative")
    return number


TEXT_OF: Mapping[str, object] = {
    f"{Form.TEXT}_text": lambda value: clean_text(value.rstrip(b"\0")),
    f"{Form.HEX}_text": lambda value: f"0x{value.hex()}",
    f"{Form.DECIMAL}_text": str,
    "address_text": checksummed,
}
"""How a text is made of a value, by the names in generated functions. Zeros at the end of bytes are no part of it."""


def contract_of(rule: Rule, field: str, emitter: Address, addresses: Addresses) -> Address:
    """Returns the contract whose id a field contains."""
    role = rule.subjects.get(field, rule.contract)
    return emitter if role == rule.contract or not addresses.get(role) else addresses[role][0]


def _guard(number: int, path: Path, value: object, addresses: Addresses, names: dict[str, object]) -> str:
    if isinstance(value, RoleAddress):
        names[f"allowed_{number}"] = frozenset(addresses[value.role])
        return f"{value_at(path)} in allowed_{number}"
    if isinstance(value, NoRole):
        names[f"watched_{number}"] = frozenset(address for watched in addresses.values() for address in watched)
        return f"{value_at(path)} not in watched_{number}"
    names[f"required_{number}"] = value
    return f"{value_at(path)} == required_{number}"


def subject_of(rule: Rule, emitter: Address, addresses: Addresses) -> Address:
    """Returns the contract that the fact is about: the one whose id the fact requires."""
    for field, role in rule.subjects.items():
        if _is_needed(rule.fact_type, field) and role != rule.contract:
            return addresses[role][0]
    return emitter
