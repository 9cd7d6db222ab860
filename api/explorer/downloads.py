"""Links to the rows of a page as files: with its filter and order, and as of the same point."""

import json
from importlib.util import find_spec
from typing import Any, NamedTuple

from api.explorer.visit import Visit, address

FORMATS = {"csv": "CSV", "ndjson": "NDJSON"} | ({"parquet": "Parquet"} if find_spec("pyarrow") else {})
"""The names of the formats. Parquet is an extra of the installation."""


class FileLink(NamedTuple):
    """A file of a list: the name of its format, and its address."""

    format: str
    href: str


def file_links(visit: Visit, table: str, **parameters: Any) -> list[FileLink]:
    """Returns the links to a table of the exports. A parameter is a text, a value that is written as JSON, or None."""
    chosen = {**parameters, "asOf": visit.as_of.variable if visit.as_of else None}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in chosen.items() if value}
    return [FileLink(name, address(f"/export/{table}.{format}", texts)) for format, name in FORMATS.items()]
