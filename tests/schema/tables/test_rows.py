"""The structs that are written are the tables, column for column."""

import re
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from sqlalchemy import Table
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from schema.tables import rows, tables

IDENTITIES = ("device", "manufacturer", "hardware_license", "vehicle", "license")
NOT_WRITTEN_AS_ROWS = {
    *("chain", "contract", "profile", "reorg", "orphaned_block", "orphaned_event"),
    *("verified_header", "receipt_proof", "verification_failure", "standby", "disagreement"),
}
"""Tables that the store and the verifier write with statements of their own."""


def structs() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each table."""
    found = {
        re.sub("(?<!^)(?=[A-Z])", "_", name).lower(): struct
        for name, struct in vars(rows).items()
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and struct.__module__ == rows.__name__
    }
    del found["identity"]
    return {name: struct for name, struct in found.items() if name in metadata} | dict.fromkeys(
        IDENTITIES, rows.Identity
    )


metadata: dict[str, Table] = dict(tables.Chain.metadata.tables)
STRUCTS = structs()


def test_every_table_of_the_writer_has_a_struct() -> None:
    assert metadata.keys() - NOT_WRITTEN_AS_ROWS == STRUCTS.keys()


@pytest.mark.parametrize("table", STRUCTS)
def test_a_struct_has_the_columns_of_its_table(table: str) -> None:
    assert set(STRUCTS[table].__struct_fields__) == {column.name for column in metadata[table].columns} - {"chain_id"}


@pytest.mark.parametrize("table", STRUCTS)
def test_a_field_may_be_none_where_its_column_may_be_null(table: str) -> None:
    hints = get_type_hints(STRUCTS[table])
    nullable = {column.name for column in metadata[table].columns if column.nullable}
    assert {name for name, hint in hints.items() if NoneType in get_args(hint)} == nullable


@pytest.mark.parametrize("table", STRUCTS)
def test_a_field_has_the_default_of_its_column(table: str) -> None:
    defaults = {
        column.name: column.default.arg
        for column in metadata[table].columns
        if isinstance(column.default, ScalarElementColumnDefault)
    }
    given: dict[str, Any] = {
        field.name: field.default
        for field in msgspec.structs.fields(STRUCTS[table])
        if field.default is not msgspec.NODEFAULT
    }
    assert {name: default for name, default in given.items() if name in defaults} == {
        name: default for name, default in defaults.items() if name in given
    }
    unknown = {name for name, default in given.items() if default is None}
    assert unknown <= {column.name for column in metadata[table].columns if column.nullable}
