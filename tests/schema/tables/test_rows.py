"""The structs that are written are the tables, column for column."""

from types import NoneType
from typing import Any, get_args

import msgspec
import pytest
from sqlalchemy import Table
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from schema.tables import rows, tables
from schema.tables.kinds import IDENTITIES, LIFECYCLE, SPANS, VERIFICATION, SpanTable

NOT_WRITTEN_AS_ROWS = {
    *("chain", "contract", "profile", "reorg", "orphaned_block", "orphaned_event"),
    *("verified_header", "receipt_proof", "verification_failure", "standby", "disagreement"),
}
"""Tables that the store and the verifier write with statements of their own."""


metadata: dict[str, Table] = dict(tables.Chain.metadata.tables)
STRUCTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "block": (rows.Block,),
    "event": (rows.EventLog, rows.EventReading),
    "call": (rows.Call,),
    **{name: (table.row,) for name, table in SPANS.items()},
    **{name: (row,) for name, row in (LIFECYCLE | IDENTITIES).items()},
}
"""The structs that make up a row of each table."""


def test_every_table_of_the_writer_has_a_struct() -> None:
    assert metadata.keys() - NOT_WRITTEN_AS_ROWS == STRUCTS.keys()


def fields(table: str) -> list[msgspec.structs.FieldInfo]:
    return [field for struct in STRUCTS[table] for field in msgspec.structs.fields(struct)]


@pytest.mark.parametrize("table", STRUCTS)
def test_a_struct_has_the_columns_of_its_table(table: str) -> None:
    names = [field.name for field in fields(table)]
    assert len(names) == len(set(names))
    assert set(names) == {column.name for column in metadata[table].columns} - {"chain_id"}


@pytest.mark.parametrize("table", STRUCTS)
def test_a_field_may_be_none_where_its_column_may_be_null(table: str) -> None:
    nullable = {column.name for column in metadata[table].columns if column.nullable}
    assert {field.name for field in fields(table) if NoneType in get_args(field.type)} == nullable


@pytest.mark.parametrize("table", STRUCTS)
def test_a_field_has_the_default_of_its_column(table: str) -> None:
    defaults = {
        column.name: column.default.arg
        for column in metadata[table].columns
        if isinstance(column.default, ScalarElementColumnDefault)
    }
    field_defaults: dict[str, Any] = {
        field.name: field.default for field in fields(table) if field.default is not msgspec.NODEFAULT
    }
    assert {name: default for name, default in field_defaults.items() if name in defaults} == {
        name: default for name, default in defaults.items() if name in field_defaults
    }
    unknown = {name for name, default in field_defaults.items() if default is None}
    assert unknown <= {column.name for column in metadata[table].columns if column.nullable}


@pytest.mark.parametrize("span", SPANS.values(), ids=lambda span: span.name)
def test_a_table_of_spans_has_the_columns_that_its_kind_names(span: SpanTable) -> None:
    columns = set(span.row.__struct_fields__)
    assert {span.owner, "valid_from", "valid_to", *span.key_columns, *span.end_columns} <= columns
    assert span.owner in rows.EventReading.__struct_fields__
    assert span.identity in IDENTITIES


@pytest.mark.parametrize("table", VERIFICATION)
def test_a_table_of_what_was_verified_has_the_column_of_its_block(table: str) -> None:
    assert VERIFICATION[table] in metadata[table].columns
