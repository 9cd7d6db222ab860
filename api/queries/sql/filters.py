"""Filters: a filter's fields and their comparisons become one condition on columns.

A filter is a tuple of (name, comparisons) pairs, all of which must hold. Under the names `and`, `or` and `not` it has
filters again. The comparisons of a field are (operator, value) pairs, all of which must hold too. Each subject has a
mapping from names to fields; `sql/fields.py` has the kinds of fields.

A comparison with an absent value is false, and `not` and `ne` are the exact opposite. `negate` is therefore `IS NOT
TRUE`, never SQL's three-valued NOT.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, false, or_, true

from api.queries.sql.scope import Scope

Filter = tuple[tuple[str, Any], ...]
Comparisons = tuple[tuple[str, Any], ...]
Condition = ColumnElement[bool]


class Field(Protocol):
    """What a filter can compare."""

    def condition(self, scope: Scope, comparisons: Comparisons) -> Condition:
        """Returns the condition that all comparisons hold."""
        ...


Fields = Mapping[str, Field]


def matches(scope: Scope, filter: Filter, fields: Fields) -> Condition:
    """Returns the condition that a row fits the filter at the scope."""
    return combine(filter, lambda name, comparisons, _: fields[name].condition(scope, comparisons))


def combine(filter: Filter, condition_of: Callable[[str, Any, bool], Condition], surely: bool = True) -> Condition:
    """Returns the conditions of a filter's fields, combined by its `and`, `or` and `not`.

    `condition_of` returns the condition of one field from its name, its comparisons and `surely`. Where a row does not
    hold what a field compares, the condition must be false if `surely`, else true. Below a `not` it is the opposite.
    """
    conditions: list[Condition] = []
    for name, operand in filter:
        match name:
            case "and":
                conditions += [combine(part, condition_of, surely) for part in operand]
            case "or":
                conditions.append(or_(false(), *(combine(part, condition_of, surely) for part in operand)))
            case "not":
                conditions.append(negate(combine(operand, condition_of, not surely)))
            case _:
                conditions.append(condition_of(name, operand, surely))
    return and_(true(), *conditions)


def names_in(filter: Filter) -> set[str]:
    """Returns the names of all fields that a filter compares."""
    names: set[str] = set()
    for name, operand in filter:
        match name:
            case "and" | "or":
                names.update(*map(names_in, operand))
            case "not":
                names |= names_in(operand)
            case _:
                names.add(name)
    return names


def negate(condition: Condition) -> Condition:
    """Returns the exact opposite: true where the condition is false or unknown."""
    return condition.is_not(true())
