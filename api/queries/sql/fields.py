"""The kinds of fields that a filter can compare, from a plain column to a condition of a subject's own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, exists, false, func, or_, select, true

from api.queries.sql.filters import Comparisons, Condition, Field, Fields, Filter, negate
from api.queries.sql.scope import Scope
from api.queries.sql.times import LAST_SECOND, bound, seconds_down
from schema.tables.values import INT64_MAX, KEY_LENGTH, clean_text

COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
UINT256_MAX = 2**256 - 1
MAX_CODE_POINT = 0x10FFFF


class Parameter(NamedTuple):
    """Stands in a filter for a value that is bound when the statement is executed."""

    name: str


def _operand(value: Any, column: ColumnElement[Any]) -> Any:
    """Returns the right side of a comparison with the column."""
    if isinstance(value, Parameter):
        return bindparam(value.name, type_=column.type)
    return int(value) if isinstance(value, IntEnum) else value


def with_parameters(filter: Filter, fields: Fields) -> tuple[Filter, dict[str, Any]]:
    """Returns the filter with parameters in place of the values of `eq`, and those values by the parameters' names.

    A value on which the text of the SQL depends stays in the filter.
    """
    values: dict[str, Any] = {}

    def parameter(field: "ValueField | RelatedField", operator: str, operand: Any) -> Any:
        value = field.parameter(operand) if operator == "eq" else None
        if value is None:
            return operand
        name = f"operand_{len(values)}"
        values[name] = value
        return Parameter(name)

    def parameters(name: str, comparisons: Any) -> Any:
        field = fields.get(name)
        if not isinstance(field, ValueField | RelatedField):
            return comparisons
        return tuple((operator, parameter(field, operator, operand)) for operator, operand in comparisons)

    return tuple((name, parameters(name, comparisons)) for name, comparisons in filter), values


class ValueField:
    """Base of the fields with one value. A subclass implements `equals`, `present` and, if it has order, `compare`."""

    def parameter(self, value: Any) -> Any:
        """Returns the value as `equals` binds it, None if the text of the SQL depends on the value."""
        return None

    def condition(self, scope: Scope, comparisons: Comparisons) -> Condition:
        return and_(true(), *(self.comparison(operator, value) for operator, value in comparisons))

    def comparison(self, operator: str, value: Any) -> Condition:
        """Returns the condition of one comparison."""
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
class ExactField(ValueField):
    """Bytes, flags and codes, which are equal or not."""

    column: ColumnElement[Any]

    def parameter(self, value: Any) -> Any:
        return _operand(value, self.column)

    def equals(self, value: Any) -> Condition:
        condition: Condition = self.column == _operand(value, self.column)
        return condition

    def among(self, values: Iterable[Any]) -> Condition:
        return self.column.in_([_operand(value, self.column) for value in values])

    def present(self) -> Condition:
        return self.column.is_not(None)


@dataclass(frozen=True)
class NumberField(ExactField):
    """A whole number in a column that holds `least` to `most`. The compared number may be outside of that range."""

    least: int = 0
    most: int = INT64_MAX

    def parameter(self, value: int) -> Any:
        return value if self._holds(value) else None

    def equals(self, value: int | Parameter) -> Condition:
        if not isinstance(value, Parameter) and not self._holds(value):
            return false()
        return super().equals(value)

    def among(self, values: Iterable[int]) -> Condition:
        return super().among(filter(self._holds, values))

    def compare(self, operator: str, value: int) -> Condition:
        compare = COMPARE[operator]
        if self._holds(value):
            condition: Condition = compare(self.column, value)
            return condition
        # every number of the column is on the same side of the value
        return self.present() if compare(self.least, value) else false()

    def _holds(self, value: int) -> bool:
        return self.least <= value <= self.most


COMPARE_NUMBERS: Mapping[str, Callable[[int, Any], bool]] = {
    **COMPARE,
    "eq": eq,
    "ne": ne,
    "in": lambda number, values: number in values,
    "not_in": lambda number, values: number not in values,
}


def number_fits(number: int, comparisons: Comparisons) -> bool:
    """Returns whether all comparisons of a `NumberField` hold for a number."""
    return all(COMPARE_NUMBERS[operator](number, value) for operator, value in comparisons)


def token_id_field(identities: Table) -> NumberField:
    """Returns the field of an identity's token id."""
    return NumberField(identities.c.token_id, most=UINT256_MAX)


@dataclass(frozen=True)
class TimeField(ValueField):
    """A time in whole seconds."""

    column: ColumnElement[Any]

    def equals(self, value: datetime) -> Condition:
        return self.column == seconds_down(value) if value.microsecond == 0 else false()

    def present(self) -> Condition:
        return self.column <= LAST_SECOND

    def compare(self, operator: str, value: datetime) -> Condition:
        return and_(self.present(), COMPARE[operator](self.column, bound(operator, value)))


@dataclass(frozen=True)
class TextField(ValueField):
    """A text and the key column of its first characters; '' and NULL are absent.

    A comparison uses the key, and the text itself only where the key is too short to decide.
    """

    text: ColumnElement[Any]
    key: ColumnElement[str]
    clean: Callable[[str], str] = clean_text

    def parameter(self, value: str) -> Any:
        text = self.clean(value)
        return text if 0 < len(text) < KEY_LENGTH else None

    def equals(self, value: str | Parameter) -> Condition:
        if isinstance(value, Parameter):
            condition: Condition = self.key == _operand(value, self.key)
            return condition
        text = self.clean(value)
        if not text:
            return false()
        same_key = self.key == text[:KEY_LENGTH]
        return same_key if len(text) < KEY_LENGTH else and_(same_key, self.text == text)

    def present(self) -> Condition:
        return self.key != ""

    def comparison(self, operator: str, value: Any) -> Condition:
        return self.starts_with(value) if operator == "starts_with" else super().comparison(operator, value)

    def starts_with(self, value: str) -> Condition:
        prefix = self.clean(value)
        if not prefix:
            return self.present()
        if len(prefix) > KEY_LENGTH:
            return and_(self.key == prefix[:KEY_LENGTH], func.substr(self.text, 1, len(prefix)) == prefix)
        end = after_prefix(prefix)
        return and_(self.key >= prefix, self.key < end if end else true())


def after_prefix(prefix: str) -> str:
    """Returns the least text, by code point, above all texts that start with the prefix; '' if there is none."""
    for end in range(len(prefix), 0, -1):
        last = ord(prefix[end - 1])
        if last < MAX_CODE_POINT:
            # skips the surrogates, which no text holds
            return prefix[: end - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return ""


@dataclass(frozen=True)
class PlainTextField(ValueField):
    """A short text that is never NULL and has no key column."""

    column: ColumnElement[Any]

    def equals(self, value: str) -> Condition:
        return self.column == clean_text(value)

    def present(self) -> Condition:
        return self.column != ""

    def comparison(self, operator: str, value: Any) -> Condition:
        if operator == "starts_with":
            prefix = clean_text(value)
            return func.substr(self.column, 1, len(prefix)) == prefix
        return super().comparison(operator, value)


@dataclass(frozen=True)
class VersionField(TextField):
    """A firmware version: compared for equality as a text, ordered by its semver key.

    The values of `lt`, `lte`, `gt` and `gte` are keys made by `version_key`.
    """

    order: ColumnElement[str] | None = None

    def comparison(self, operator: str, value: Any) -> Condition:
        if self.order is None:
            raise TypeError(f"{self.key} has no semver key beside it")
        if operator == "semver":
            return self.order != "" if value else and_(self.present(), self.order == "")
        if operator in COMPARE:
            return and_(self.order != "", COMPARE[operator](self.order, value[:KEY_LENGTH]))
        return super().comparison(operator, value)


@dataclass(frozen=True)
class CodeField:
    """A code that the API returns as a word. Each word is compared here, SQL compares the codes of those that fit."""

    column: ColumnElement[Any]
    codes: Mapping[str, int]

    def condition(self, scope: Scope, comparisons: Comparisons) -> Condition:
        return and_(true(), *(self._comparison(operator, value) for operator, value in comparisons))

    def _comparison(self, operator: str, value: Any) -> Condition:
        match operator:
            case "is_null":
                return self.column.is_(None) if value else self.column.is_not(None)
            case "eq" | "ne":
                codes = [code for word, code in self.codes.items() if word == value]
            case "in" | "not_in":
                codes = [code for word, code in self.codes.items() if word in value]
            case _:
                codes = [code for word, code in self.codes.items() if word.startswith(value)]
        condition = self.column.in_(codes)
        return negate(condition) if operator in ("ne", "not_in") else condition


@dataclass(frozen=True)
class CaseField(ValueField):
    """A value that no column holds: it is the one whose condition holds."""

    conditions: Mapping[Any, Condition]

    def equals(self, value: Any) -> Condition:
        return self.conditions[value]

    def present(self) -> Condition:
        return or_(false(), *self.conditions.values())


@dataclass(frozen=True)
class RelatedField:
    """A field of another row, whose id is in this row's `column`; `ids(scope)` selects the ids of those rows.

    `ne`, `notIn` and `isNull` are true if no related row fits.
    """

    column: ColumnElement[Any]
    ids: Callable[[Scope], Select[Any]]
    field: ValueField

    def parameter(self, value: Any) -> Any:
        return self.field.parameter(value)

    def condition(self, scope: Scope, comparisons: Comparisons) -> Condition:
        return and_(true(), *(self._comparison(scope, operator, value) for operator, value in comparisons))

    def _comparison(self, scope: Scope, operator: str, value: Any) -> Condition:
        match operator:
            case "ne":
                return negate(self._any(scope, self.field.equals(value)))
            case "not_in":
                return negate(self._any(scope, self.field.among(value)))
            case "is_null":
                some = self._any(scope, self.field.present())
                return negate(some) if value else some
            case _:
                return self._any(scope, self.field.comparison(operator, value))

    def _any(self, scope: Scope, condition: Condition) -> Condition:
        return self.column.in_(self.ids(scope).where(condition).correlate(scope.keys))


def related_token_id(column: ColumnElement[Any], identities: Table) -> RelatedField:
    """Returns the field of the token id of the identity whose id is in the column."""

    def ids(scope: Scope) -> Select[Any]:
        return select(identities.c.id).where(identities.c.chain_id == scope.chain_id)

    return RelatedField(column, ids, token_id_field(identities))


@dataclass(frozen=True)
class ScopedField:
    """A field that is made for each scope."""

    make: Callable[[Scope], Field]

    def condition(self, scope: Scope, comparisons: Comparisons) -> Condition:
        return self.make(scope).condition(scope, comparisons)


@dataclass(frozen=True)
class ComputedField:
    """A field whose condition a function makes from the scope and the comparisons, which may be of any shape."""

    make: Callable[[Scope, Any], Condition]

    def condition(self, scope: Scope, comparisons: Any) -> Condition:
        return self.make(scope, comparisons)


def is_among(scope: Scope, column: ColumnElement[Any], ids: Select[Any], *, of_few: bool) -> Condition:
    """The column has one of the ids that a SELECT at the scope has: a set, or with `of_few` looked for in each row."""
    if not of_few:
        return column.in_(ids.correlate(scope.keys))
    (id,) = ids.selected_columns
    # names the table outside of the subquery too, so that the walk joins it
    return and_(column.is_not(None), exists(ids.where(id == column).correlate(scope.keys, column.table)))
