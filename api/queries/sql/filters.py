"""Filters: from what a reader asks of a field to a condition on columns.

A filter is a tuple of (field, wish) pairs, joined by "and"; `and`, `or` and `not` hold filters again. What a field may
be asked stands in tables of fields, one a kind of row, made of the few kinds of field below.

A comparison with an absent value is false, and `not` and `ne` are its exact opposite: `negate` therefore asks for "is
not true", never for SQL's three-valued NOT.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from operator import ge, gt, le, lt
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Select, and_, bindparam, false, func, or_, true

from api.queries.sql.scope import Scope
from schema.tables.values import INT64_MAX, KEY_LENGTH, clean_text

Filter = tuple[tuple[str, Any], ...]
Condition = ColumnElement[bool]

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
LAST_SECOND = 253402300799
"""9999-12-31T23:59:59Z: a later time has no RFC 3339 form. It is served as null, and so it is absent here too."""


class Field(Protocol):
    """Something that can be asked of a row."""

    def meets(self, scope: Scope, wishes: Filter) -> Condition:
        """Returns the condition under which the field fits all of the wishes."""
        ...


Fields = Mapping[str, Field]


def matches(scope: Scope, filter: Filter, fields: Fields) -> Condition:
    """Returns the condition under which a row fits the filter."""
    return and_(true(), *(_clause(scope, name, wish, fields) for name, wish in filter))


def _clause(scope: Scope, name: str, wish: Any, fields: Fields) -> Condition:
    match name:
        case "and":
            return and_(true(), *(matches(scope, part, fields) for part in wish))
        case "or":
            return or_(false(), *(matches(scope, part, fields) for part in wish))
        case "not":
            return negate(matches(scope, wish, fields))
        case _:
            return fields[name].meets(scope, wish)


def negate(condition: Condition) -> Condition:
    """Returns the exact opposite: true where the condition is false or unknown."""
    return condition.is_not(true())


class Slot(NamedTuple):
    """Stands in a filter for a value that comes when the statement is executed."""

    name: str


def _sql(value: Any, column: ColumnElement[Any]) -> Any:
    """Returns what a column is compared with."""
    if isinstance(value, Slot):
        return bindparam(value.name, type_=column.type)
    return int(value) if isinstance(value, IntEnum) else value


def with_slots(filter: Filter, fields: Fields) -> tuple[Filter, dict[str, Any]]:
    """Returns the filter with slots for the values that it asks to be equal, as far as that may be, and the values."""
    values: dict[str, Any] = {}

    def slot(field: "Comparable | Related", operator: str, value: Any) -> Any:
        parameter = field.parameter(value) if operator == "eq" else None
        if parameter is None:
            return value
        name = f"wish_{len(values)}"
        values[name] = parameter
        return Slot(name)

    def wish(name: str, asked: Any) -> Any:
        field = fields.get(name)
        if not isinstance(field, Comparable | Related):
            return asked
        return tuple((operator, slot(field, operator, value)) for operator, value in asked)

    return tuple((name, wish(name, asked)) for name, asked in filter), values


class Comparable:
    """A field with one value: tells which of the operators it answers, by `equals`, `present` and `compare`."""

    def parameter(self, value: Any) -> Any:
        """Returns a value as `equals` gives it to SQL; None where it depends on the value what SQL is asked."""
        return None

    def meets(self, scope: Scope, wishes: Filter) -> Condition:
        return and_(true(), *(self._wish(operator, value) for operator, value in wishes))

    def _wish(self, operator: str, value: Any) -> Condition:
        match operator:
            case "eq":
                return self.equals(value)
            case "ne":
                return negate(self.equals(value))
            case "in":
                return self.among(value)
            case "not_in":
                return negate(self.among(value))
            case "is_null":
                return negate(self.present()) if value else self.present()
            case _:
                return self.compare(operator, value)

    def equals(self, value: Any) -> Condition:
        raise NotImplementedError

    def present(self) -> Condition:
        raise NotImplementedError

    def among(self, values: Iterable[Any]) -> Condition:
        return or_(false(), *(self.equals(value) for value in values))

    def compare(self, operator: str, value: Any) -> Condition:
        raise NotImplementedError


@dataclass(frozen=True)
class Exact(Comparable):
    """Bytes, flags and codes: equal or not."""

    column: ColumnElement[Any]

    def parameter(self, value: Any) -> Any:
        return _sql(value, self.column)

    def equals(self, value: Any) -> Condition:
        condition: Condition = self.column == _sql(value, self.column)
        return condition

    def among(self, values: Iterable[Any]) -> Condition:
        return self.column.in_([int(value) if isinstance(value, IntEnum) else value for value in values])

    def present(self) -> Condition:
        return self.column.is_not(None)


@dataclass(frozen=True)
class Number(Comparable):
    """A whole number of a column that holds `least` to `most`; what is asked may be any whole number."""

    column: ColumnElement[Any]
    least: int = 0
    most: int = INT64_MAX

    def parameter(self, value: int) -> Any:
        return value if self._holds(value) else None

    def equals(self, value: int | Slot) -> Condition:
        return self.column == _sql(value, self.column) if isinstance(value, Slot) or self._holds(value) else false()

    def among(self, values: Iterable[int]) -> Condition:
        return self.column.in_([value for value in values if self._holds(value)])

    def present(self) -> Condition:
        return self.column.is_not(None)

    def compare(self, operator: str, value: int) -> Condition:
        compare = COMPARISONS[operator]
        if self._holds(value):
            condition: Condition = compare(self.column, value)
            return condition
        # all that the column can hold lies on one side of it
        return self.present() if compare(self.least, value) else false()

    def _holds(self, value: int) -> bool:
        return self.least <= value <= self.most


UINT256_MAX = 2**256 - 1


@dataclass(frozen=True)
class Moment(Comparable):
    """A time in whole seconds; what is asked may lie between two of them."""

    column: ColumnElement[Any]

    def equals(self, value: datetime) -> Condition:
        return self.column == seconds_down(value) if value.microsecond == 0 else false()

    def present(self) -> Condition:
        return self.column <= LAST_SECOND

    def compare(self, operator: str, value: datetime) -> Condition:
        return and_(self.present(), COMPARISONS[operator](self.column, bound(operator, value)))


def seconds_down(value: datetime) -> int:
    """Returns the last whole second at or before a time."""
    return int((value.replace(microsecond=0)).timestamp())


def seconds_up(value: datetime) -> int:
    """Returns the first whole second at or after a time."""
    return seconds_down(value) + (value.microsecond > 0)


def bound(operator: str, value: datetime) -> int:
    """Returns the whole second with which the comparison says the same of whole seconds as the time itself."""
    return seconds_down(value) if operator in ("gt", "lte") else seconds_up(value)


@dataclass(frozen=True)
class Text(Comparable):
    """A text with a key column of its first characters; '' and NULL are absent. `text` is compared when keys agree."""

    text: ColumnElement[Any]
    key: ColumnElement[str]
    clean: Callable[[str], str] = clean_text

    def parameter(self, value: str) -> Any:
        wanted = self.clean(value)
        return wanted if 0 < len(wanted) < KEY_LENGTH else None

    def equals(self, value: str | Slot) -> Condition:
        if isinstance(value, Slot):
            asked: Condition = self.key == _sql(value, self.key)
            return asked
        wanted = self.clean(value)
        if not wanted:
            return false()
        key = self.key == wanted[:KEY_LENGTH]
        return key if len(wanted) < KEY_LENGTH else and_(key, self.text == wanted)

    def present(self) -> Condition:
        return self.key != ""

    def _wish(self, operator: str, value: Any) -> Condition:
        return self.starts_with(value) if operator == "starts_with" else super()._wish(operator, value)

    def starts_with(self, prefix: str) -> Condition:
        wanted = self.clean(prefix)
        if not wanted:
            return self.present()
        if len(wanted) > KEY_LENGTH:
            return and_(self.key == wanted[:KEY_LENGTH], func.substr(self.text, 1, len(wanted)) == wanted)
        above = after_prefix(wanted)
        return and_(self.key >= wanted, self.key < above if above else true())


def after_prefix(prefix: str) -> str:
    """Returns the least text above all that start with the prefix, by code point; '' where there is none."""
    for end in range(len(prefix), 0, -1):
        last = ord(prefix[end - 1])
        if last < MAX_CODE_POINT:
            # the surrogates are no characters
            return prefix[: end - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return ""


MAX_CODE_POINT = 0x10FFFF


@dataclass(frozen=True)
class Plain(Comparable):
    """A short text without a key column, always there."""

    column: ColumnElement[Any]

    def equals(self, value: str) -> Condition:
        return self.column == clean_text(value)

    def present(self) -> Condition:
        return self.column != ""

    def _wish(self, operator: str, value: Any) -> Condition:
        if operator == "starts_with":
            prefix = clean_text(value)
            return func.substr(self.column, 1, len(prefix)) == prefix
        return super()._wish(operator, value)


@dataclass(frozen=True)
class Version(Text):
    """A firmware version: compared as a text, ordered by its semver key. Wishes bring keys, made by `version_key`."""

    order: ColumnElement[str] | None = None

    def _wish(self, operator: str, value: Any) -> Condition:
        if self.order is None:
            raise TypeError(f"{self.key} has no semver key beside it")
        if operator == "semver":
            return self.order != "" if value else and_(self.present(), self.order == "")
        if operator in COMPARISONS:
            return and_(self.order != "", COMPARISONS[operator](self.order, value[:KEY_LENGTH]))
        return super()._wish(operator, value)


@dataclass(frozen=True)
class Words:
    """A code that is served as a word: the wish is judged on each word, and the column asked for those that fit."""

    column: ColumnElement[Any]
    words: Mapping[str, int]

    def meets(self, scope: Scope, wishes: Filter) -> Condition:
        return and_(true(), *(self._wish(operator, value) for operator, value in wishes))

    def _wish(self, operator: str, value: Any) -> Condition:
        match operator:
            case "is_null":
                return self.column.is_(None) if value else self.column.is_not(None)
            case "eq" | "ne":
                chosen = [code for word, code in self.words.items() if word == value]
            case "in" | "not_in":
                chosen = [code for word, code in self.words.items() if word in value]
            case _:
                chosen = [code for word, code in self.words.items() if word.startswith(value)]
        condition = self.column.in_(chosen)
        return negate(condition) if operator in ("ne", "not_in") else condition


@dataclass(frozen=True)
class Cases(Comparable):
    """A value that no column holds: a condition for each that it may take."""

    conditions: Mapping[Any, Callable[[Scope], Condition]]

    def meets(self, scope: Scope, wishes: Filter) -> Condition:
        return and_(true(), *(_Case(scope, self.conditions)._wish(operator, value) for operator, value in wishes))


@dataclass(frozen=True)
class _Case(Comparable):
    scope: Scope
    conditions: Mapping[Any, Callable[[Scope], Condition]]

    def equals(self, value: Any) -> Condition:
        return self.conditions[value](self.scope)

    def present(self) -> Condition:
        return or_(false(), *(condition(self.scope) for condition in self.conditions.values()))


@dataclass(frozen=True)
class Related:
    """A field of another row that this one names by `column`: asked of those rows, named by `rows(scope)`.

    `ne`, `notIn` and `isNull` are asked of this row: none of the related ones may fit.
    """

    column: ColumnElement[Any]
    rows: Callable[[Scope], Select[Any]]
    field: Comparable

    def parameter(self, value: Any) -> Any:
        return self.field.parameter(value)

    def meets(self, scope: Scope, wishes: Filter) -> Condition:
        return and_(true(), *(self._wish(scope, operator, value) for operator, value in wishes))

    def _wish(self, scope: Scope, operator: str, value: Any) -> Condition:
        match operator:
            case "ne":
                return negate(self._some(scope, self.field.equals(value)))
            case "not_in":
                return negate(self._some(scope, self.field.among(value)))
            case "is_null":
                some = self._some(scope, self.field.present())
                return negate(some) if value else some
            case _:
                return self._some(scope, self.field._wish(operator, value))

    def _some(self, scope: Scope, condition: Condition) -> Condition:
        return self.column.in_(self.rows(scope).where(condition).correlate(scope.keys))


@dataclass(frozen=True)
class Computed:
    """A field with a condition of its own making."""

    condition: Callable[[Scope, Any], Condition]

    def meets(self, scope: Scope, wishes: Any) -> Condition:
        return self.condition(scope, wishes)
