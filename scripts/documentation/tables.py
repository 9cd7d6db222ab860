"""The tables that the documentation takes from the code: settings, columns of exports, and the facts of profiles."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any

from api.delivery.settings import DeliverySettings
from api.delivery.subscriptions import KEYS
from api.exports.columns import Column
from api.exports.table import NAMES, Table
from api.graphql.schema import build_schema
from api.settings import Settings as ApiSettings
from indexer.settings import Settings
from schema.events import FACT_TYPES
from schema.profile.values import FACT_FIELDS

REPOSITORY = Path(__file__).parents[2]


def with_tables(page: str, text: str) -> str:
    """Returns the text of a page with the tables that the code declares, each between its two comments."""
    for name, table in TABLES[page].items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, rest = text.split(begin)
        text = before + begin + table() + rest[rest.index(end) :]
    return text


def _settings(settings: type[Any]) -> str:
    rows = (_setting(field.name, field.metadata["setting"]) for field in fields(settings))
    return "| key | default | what |\n|---|---|---|\n" + "".join(rows)


def _setting(name: str, declaration: Any) -> str:
    default = f"`{declaration.default}`" if declaration.default is not None else ""
    required = "" if declaration.optional or default else "required"
    example = f" Example: `{declaration.example}`"
    return f"| `{name.upper()}` | {default or required} | {declaration.help}{example} |\n"


def _keys() -> str:
    rows = (
        f"| `{name}` | {key.default} | {key.help} Example: `{name} = {key.example}` |\n" for name, key in KEYS.items()
    )
    return "| key | default | what |\n|---|---|---|\n" + "".join(rows)


def _columns(table: str) -> str:
    rows = (
        f"| `{column.name}` | {_type(column)} | {column.description} |\n" for column in Table(_schema(), table).columns
    )
    return "| column | type | what |\n|---|---|---|\n" + "".join(rows)


def _type(column: Column) -> str:
    name = ", ".join(f"`{value}`" for value in column.values) or column.type
    return f"{'list of ' if column.is_list else ''}{name}"


_schema = cache(build_schema)


def _facts() -> str:
    return "| fact | what happened | fields |\n|---|---|---|\n" + "".join(map(_fact, FACT_TYPES))


def _fact(name: str) -> str:
    summary = (inspect.getdoc(FACT_TYPES[name]) or "").partition("\n\n")[0].replace("\n", " ")
    listed = ", ".join(
        f"`{field.name}`{'*' if field.required else ''}" for field in FACT_FIELDS[FACT_TYPES[name]].values()
    )
    return f"| {name} | {summary} | {listed} |\n"


TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/reference/settings.md": {
        "indexer settings": partial(_settings, Settings),
        "api settings": partial(_settings, ApiSettings),
        "delivery settings": partial(_settings, DeliverySettings),
    },
    "docs/reference/webhooks.md": {"keys of a subscription": _keys},
    "docs/reference/exports.md": {name: partial(_columns, name) for name in NAMES},
    "docs/guides/your-own-contract.md": {"facts": _facts},
}
