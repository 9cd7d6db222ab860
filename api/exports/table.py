"""A table: a list of the API as rows of one shape, read chunk by chunk at one block.

A table is a query in `tables/`. Its variables are the parameters of the address, and `nodes` selects the columns. The
list, its filter, its order and `asOf` are therefore those of GraphQL, and values are written by the same functions.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphql import FieldNode, OperationDefinitionNode, parse
from graphql.execution.values import get_variable_values

from api.exports.columns import Column, columns_of
from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.inputs.as_of import check_canonical
from api.graphql.inputs.one_of import explain_variables
from api.graphql.paging.connections import RowList
from api.graphql.plan.compiling import compile_plan
from api.graphql.plan.fields import relation_of
from api.graphql.plan.levels import Choice, Level, Plan, Selected
from api.graphql.plan.run import write_rows
from api.graphql.plan.write import CSV, JSON, QUOTED_CELLS, NotAnswered, Notation
from api.graphql.schema import Schema
from api.queries.events import EVENT
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.pages import SORT_ID, SORT_KEY, Place, Window, place_of
from api.queries.sql.relations import Cells, Relation
from api.reading.read import Read
from api.reading.snapshot import Snapshot
from schema.tables.damage import UNREADABLE, WAY_OUT, DamagedData, unreadable
from schema.tables.values import MAX_BLOCK_NUMBER, MAX_OFFSET, OFFSET_BITS, position

FOLDER = Path(__file__).parent / "tables"
NAMES = (
    *("devices", "events", "authorizations", "manufacturers", "hardware-licenses", "flags"),
    *("software-updates", "sanitizations", "licenses", "vehicles", "synthetic-devices"),
)

START = Place(None, 0, 0)
"""Stands in a cursor that names a list and its block, but no row."""


class Table:
    """One table. `columns` are those of its rows, `parameters` the names of its variables.

    `has_events`: a row is an event, which is there for good unless a reorg removes it.
    """

    def __init__(self, schema: Schema, name: str) -> None:
        self.name = name
        document = parse((FOLDER / f"{name}.graphql").read_text("utf-8"))
        (operation,) = document.definitions
        assert isinstance(operation, OperationDefinitionNode)  # a table is a query
        self._schema = schema
        self._document = document
        self._operation = operation
        self._plans: dict[Notation, Plan] = {}
        self.parameters = [part.variable.name.value for part in operation.variable_definitions or ()]
        (root,) = operation.selection_set.selections
        assert isinstance(root, FieldNode)
        assert root.selection_set is not None
        (nodes,) = root.selection_set.selections
        assert isinstance(nodes, FieldNode)
        type_ = _type_of_nodes(schema, root.name.value)
        self.columns: list[Column] = columns_of(schema._schema, type_, nodes.selection_set)
        self.has_events = relation_of(type_) is EVENT

    def open(self, snapshot: Snapshot, variables: Mapping[str, Any]) -> RowList:
        """Returns the list that the variables name, at its block. Raises BadUserInput."""
        values = get_variable_values(
            self._schema._schema, self._operation.variable_definitions or (), dict(variables), 1
        )
        if isinstance(values, list):
            explain_variables(values, self._schema._schema, self._operation, variables)
            raise BadUserInput(values[0].message)
        plan = self._plan(JSON)
        root = plan.root.selected[0]
        assert root.rule.batch is not None  # a root field reads
        (rows,) = root.rule.batch(_context(snapshot, plan), [()], **root.arguments(values))
        if isinstance(rows, Exception):
            raise rows
        assert isinstance(rows, RowList)  # the root field is a list of rows
        return rows

    def resume(self, snapshot: Snapshot, rows: RowList, after: str) -> Place:
        """Returns the place of the row with a key. Raises BadUserInput if the list has no such row."""
        query, key = rows.query, _parse_key(after)
        pin = next((pin for pin in rows.pins if key is not None and pin.chain_id == key[0]), None)
        place = None
        if key is not None and pin is not None:
            place = snapshot.read_now(place_of, query.listing, query.order, key_of(pin, key[1]), query.filter)
        if place is None:
            raise BadUserInput(f'after is "{after[:80]}", which is the key of no row of this list: pass the last key.')
        return place

    def read(
        self,
        snapshot: Snapshot,
        rows: RowList,
        after: Place | None,
        size: int,
        notation: Notation,
        before: Place | None = None,
    ) -> tuple[Sequence[str], Place | None]:
        """Returns the texts of the next rows behind a place, and the place of the last one, None if no more follow.

        `before`: only rows before that place.

        Raises BadUserInput (STALE_CURSOR) if the block is no longer canonical, and DamagedData.
        """
        context = _context(snapshot, self._plan(notation))
        check_canonical(context, tuple(rows.pins))
        chunk = RowList(rows.query, 0, Window(size, False, after, before), rows.pins)
        read, pins, more = chunk.read_rows(context)
        ids = [row[SORT_ID] for row in read]
        texts = self._texts(context, notation, rows.query.listing.rows, read, pins, ids)
        return texts, Place(read[-1][SORT_KEY], pins[-1].chain_id, ids[-1]) if more else None

    def write_rows(
        self, snapshot: Snapshot, relation: Relation, refs: Sequence[tuple[Pin, int]], notation: Notation
    ) -> Sequence[str]:
        """Returns the text of each row of the table's relation, by its pin and id. Raises DamagedData."""
        context = _context(snapshot, self._plan(notation))
        rows = context.read.rows(relation, [key_of(pin, id) for pin, id in refs])
        if None in rows:
            raise DamagedData(f"A row of the table {self.name} refers to one that does not exist. {WAY_OUT}")
        present = [row for row in rows if row is not None]
        return self._texts(context, notation, relation, present, [pin for pin, _ in refs], [id for _, id in refs])

    def _texts(
        self,
        context: Context,
        notation: Notation,
        relation: Relation,
        rows: Sequence[Cells],
        pins: Sequence[Pin],
        ids: Sequence[int],
    ) -> Sequence[str]:
        try:
            objects = write_rows(_row_level(self._plan(notation)), relation, rows, pins, context)
        except (NotAnswered, *UNREADABLE) as error:
            raise unreadable(f"A stored value of the table {self.name}", error) from error
        return KEYED[notation](_keys(pins, ids), objects)

    def _plan(self, notation: Notation) -> Plan:
        """Returns the plan of the rows, compiled when it is first needed: all of them take 0.1 s."""
        if notation not in self._plans:
            plan = compile_plan(self._schema, self._document, self._operation, {}, notation, for_exports=True)
            assert plan is not None  # the query selects fields of the schema
            self._plans[notation] = plan
        return self._plans[notation]


def build_tables(schema: Schema) -> dict[str, Table]:
    """Returns all tables by their names."""
    return {name: Table(schema, name) for name in NAMES}


def _keyed_cells(keys: Sequence[str], texts: Sequence[str]) -> list[str]:
    return [f"{key},{text}\n" for key, text in zip(keys, texts, strict=True)]


KEYED: Mapping[Notation, Callable[[Sequence[str], Sequence[str]], list[str]]] = {
    CSV: _keyed_cells,
    QUOTED_CELLS: _keyed_cells,
    JSON: lambda keys, texts: [f'{{"key":"{key}",{text[1:]}\n' for key, text in zip(keys, texts, strict=True)],
}
"""Write the lines of rows, each with its key as the first column."""


def _context(snapshot: Snapshot, plan: Plan) -> Context:
    context = Context(snapshot)
    context.read = Read(snapshot, plan.shapes)
    return context


def _row_level(plan: Plan) -> Level | Choice:
    level: Any = plan.root
    for _ in ("the list", "nodes"):
        (field,) = level.selected
        assert isinstance(field, Selected)
        level = field.child
    assert isinstance(level, Level | Choice)  # a row has columns
    return level


def _type_of_nodes(schema: Schema, root: str) -> Any:
    query: Any = schema._schema.query_type
    type_ = query.fields[root].type.of_type.fields["nodes"].type
    while hasattr(type_, "of_type"):
        type_ = type_.of_type
    return type_


def _keys(pins: Sequence[Pin], ids: Sequence[int]) -> list[str]:
    return [f"{pin.chain_id}:{id >> OFFSET_BITS}:{id & MAX_OFFSET}" for pin, id in zip(pins, ids, strict=True)]


def _parse_key(text: str) -> tuple[int, int] | None:
    """Returns the chain id and the id of a row, None for text that is no key."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        return None
    chain_id, block, offset = map(int, parts)
    if block > MAX_BLOCK_NUMBER or offset >= 1 << OFFSET_BITS:
        return None
    return chain_id, position(block, offset)
