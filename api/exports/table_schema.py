"""The description of a table's columns as a Table Schema (Frictionless Standards), which validators of CSV read."""

from typing import Any

from api.exports.columns import Column
from api.exports.table import Table

TYPES = {"Long": "integer", "Int": "integer", "Boolean": "boolean", "DateTime": "datetime"}
"""The types of Table Schema, by scalar. A BigInt is text: few programs read numbers of 256 bits."""


def table_schema(table: Table) -> dict[str, Any]:
    """Returns the description of a table, as JSON."""
    return {"fields": list(map(_field, table.columns)), "primaryKey": ["key"], "missingValues": [""]}


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    if column.required and not column.is_list:
        constraints["required"] = True
    if column.values and not column.is_list:
        constraints["enum"] = list(column.values)
    return {
        "name": column.name,
        "type": "string" if column.is_list else TYPES.get(column.type, "string"),
        "description": column.description,
        **({"constraints": constraints} if constraints else {}),
    }
