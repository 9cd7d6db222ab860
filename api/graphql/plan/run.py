"""Runs a plan: from the root of the response to its leaves, level by level, and back from the leaves as text.

Each wave makes the fields of all levels that the wave before has filled: first the values of every field, then the rows
that they refer to, in one statement a relation. So depth bounds the statements, rows do not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues

from api.graphql.context import Context
from api.graphql.plan.fields import Ref, Rule, at_ref
from api.graphql.plan.levels import Choice, Level, Plan, Selected
from api.graphql.plan.write import NotAnswered
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.relations import Cells, Relation
from api.reading.read import Read


class _Rows:
    """The rows of one level in a response; the values of its fields by their keys; its texts, once they are written."""

    __slots__ = ("level", "pins", "rows", "texts", "values")

    def __init__(self, level: Level) -> None:
        self.level = level
        self.rows: Any = []
        self.pins: Any = []
        self.values: dict[str, Column] = {}
        self.texts: Sequence[str] = ()

    def add(self, items: Sequence[Any]) -> None:
        """Adds objects of the level: rows at their pins, or plain objects."""
        if self.level.relation is None:
            self.rows += items
            self.pins += [None] * len(items)
        else:
            self.rows += [item.row for item in items]
            self.pins += [item.pin for item in items]


Column = Callable[[], Sequence[str]]
"""Returns the text of a field for each row of a level, once the levels below are written."""


def run_plan(plan: Plan, context: Context, variables: VariableValues, roots: Sequence[Any]) -> Sequence[str]:
    """Returns the data of the response for each root, without errors, as JSON.

    Raises NotAnswered, and what a batch function raises.
    """
    root = _Rows(plan.root)
    root.add(roots)
    if roots:
        _write([root], context, variables)
    return root.texts


def write_rows(
    level: Level | Choice, relation: Relation, rows: Sequence[Cells], pins: Sequence[Pin], context: Context
) -> Sequence[str]:
    """Returns the text of each row of a level whose fields have no variables. Raises what `run_plan` raises."""
    if isinstance(level, Level):
        root = _Rows(level)
        root.rows, root.pins = rows, pins
        _write([root], context, VariableValues({}, {}))
        return root.texts
    levels = [level.level_of(row, relation) for row in rows]
    parts = {each: _Rows(each) for each in dict.fromkeys(levels)}
    for of, row, pin in zip(levels, rows, pins, strict=True):
        parts[of].rows.append(row)
        parts[of].pins.append(pin)
    _write(list(parts.values()), context, VariableValues({}, {}))
    texts = {each: iter(part.texts) for each, part in parts.items()}
    return [next(texts[each]) for each in levels]


def _write(roots: Sequence[_Rows], context: Context, variables: VariableValues) -> None:
    """Makes the texts of the rows of some levels, and of all levels below them."""
    made, wave = [*roots], [*roots]
    while wave:
        wave = _Wave(context, variables).make(wave)
        made += wave
    for part in reversed(made):
        columns = [part.values[field.key]() for field in part.level.selected]
        part.texts = part.level.write(part.rows, part.pins, *columns)


class _Value(NamedTuple):
    """The values of a field. `items` are the objects among them, those of lists one after another.

    Of a field that refers to rows, each item is a row once, and a value is the index of its item or None.
    """

    part: _Rows
    field: Selected
    values: Sequence[Any]
    items: list[Any]


class _Wave:
    def __init__(self, context: Context, variables: VariableValues) -> None:
        self._context = context
        self._variables = variables
        self._next: dict[Level, _Rows] = {}

    def make(self, parts: Sequence[_Rows]) -> list[_Rows]:
        """Makes the values of all fields of some levels. Returns the levels of those values."""
        made = list(self._values(parts))
        _read_refs(self._context.read, [value.items for value in made])
        for value in made:
            value.part.values[value.field.key] = self._column(value)
        return list(self._next.values())

    def _values(self, parts: Sequence[_Rows]) -> Iterator[_Value]:
        joint: dict[Rule, list[tuple[_Rows, Selected]]] = defaultdict(list)
        for part in parts:
            for field in part.level.in_turn:
                if field.rule.joint:
                    joint[field.rule].append((part, field))
                    continue
                cells = field.cells(part.rows, part.pins)
                if field.rule.refers is not None:
                    yield _Value(part, field, *_referred(field.rule.refers, part.pins, cells))
                    continue
                batch = field.rule.batch
                values = batch(self._context, cells, **field.arguments(self._variables)) if batch else cells
                yield _value(part, field, values)
        for rule, members in joint.items():
            assert rule.batch is not None  # a joint rule has one
            cells = [each for part, field in members for each in field.cells(part.rows, part.pins)]
            arguments = [field.arguments(self._variables) for part, field in members for _ in part.rows]
            joined = iter(rule.batch(self._context, cells, arguments))
            for part, field in members:
                yield _value(part, field, list(islice(joined, len(part.rows))))

    def _column(self, value: _Value) -> Column:
        field, values = value.field, value.values
        if field.child is None:
            assert field.text is not None  # a field without a child is written by its type
            texts = list(map(field.text, values))
            return lambda: texts
        if field.rule.refers is not None:
            return self._referring(value)
        column = self._placed(field, value.items)
        if not field.is_list:
            return column
        if field.required and None in values:
            raise NotAnswered("null in a non-null field")
        return lambda: _lists(values, iter(column()))

    def _referring(self, value: _Value) -> Column:
        field, values = value.field, value.values
        if field.required and None in values:
            raise NotAnswered("null in a non-null field")
        if len(value.items) == len(values):
            return self._placed(field, value.items)
        column = self._placed(field, value.items)
        assert field.child is not None  # a row is an object
        null = field.child.null

        def spread() -> list[str]:
            texts = column()
            return [null if index is None else texts[index] for index in values]

        return spread

    def _placed(self, field: Selected, items: Sequence[Any]) -> Column:
        """Puts objects into the levels below. Returns their texts."""
        if None in items and (field.items_required if field.is_list else field.required):
            raise NotAnswered("null in a non-null field")
        child = field.child
        if not items:
            return list  # a level without rows is not run: a batch function gets at least one
        if isinstance(child, Level) and None not in items:
            part = self._part(child)
            start, end = len(part.rows), len(part.rows) + len(items)
            part.add(items)
            return lambda: part.texts[start:end]
        places = [None if item is None else self._place(child, item) for item in items]
        null = child.null if child else ""
        return lambda: [null if place is None else place[0].texts[place[1]] for place in places]

    def _place(self, child: "Level | Choice | None", item: Any) -> tuple[_Rows, int]:
        level = child.level_of(item.row, item.relation) if isinstance(child, Choice) else child
        assert level is not None  # a field of objects has a child
        part = self._part(level)
        part.add([item])
        return part, len(part.rows) - 1

    def _part(self, level: Level) -> _Rows:
        part = self._next.get(level)
        if part is None:
            part = self._next[level] = _Rows(level)
        return part


def _referred(
    relation: Relation, pins: Sequence[Pin], ids: Sequence[int | None]
) -> tuple[Sequence[int | None], list[Ref]]:
    """Returns for each pin and id the index of its row, None without an id, and the references to the rows."""
    if len(set(map(id, pins))) == 1:
        distinct = [id_ for id_ in dict.fromkeys(ids) if id_ is not None]
        places: dict[int | None, int] = {id_: place for place, id_ in enumerate(distinct)}
        return list(map(places.get, ids)), [Ref(relation, id_, pins[0]) for id_ in distinct]
    keys = [(id(pin), id_) for pin, id_ in zip(pins, ids, strict=True)]
    refs = {key: Ref(relation, id_, pin) for key, pin, id_ in zip(keys, pins, ids, strict=True) if id_ is not None}
    indexes = {key: index for index, key in enumerate(refs)}
    return list(map(indexes.get, keys)), list(refs.values())


def _value(part: _Rows, field: Selected, values: Sequence[Any]) -> _Value:
    for value in values:
        if isinstance(value, Exception):
            raise value
    if field.child is None:
        return _Value(part, field, values, [])
    if not field.is_list:
        return _Value(part, field, values, list(values))
    return _Value(part, field, values, [item for items in values if items is not None for item in items])


def _lists(values: Sequence[Any], texts: Iterator[str]) -> list[str]:
    return ["null" if value is None else f"[{','.join(islice(texts, len(value)))}]" for value in values]


def _read_refs(read: Read, values: Sequence[list[Any]]) -> None:
    """Puts the rows in the place of their ids, in place; those of one relation are read together."""
    refs: dict[Relation, list[tuple[list[Any], int, Ref]]] = defaultdict(list)
    for items in values:
        for place, item in enumerate(items):
            if type(item) is Ref:
                refs[item.relation].append((items, place, item))
    for relation, members in refs.items():
        rows = read.rows(relation, [key_of(ref.pin, ref.id) for _, _, ref in members])
        for (items, place, ref), row in zip(members, rows, strict=True):
            items[place] = item = at_ref(ref, row)
            if isinstance(item, Exception):
                raise item
