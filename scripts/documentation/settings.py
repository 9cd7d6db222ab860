"""The tables of settings in the README, made from the declarations of the settings."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from api.settings import Settings as ApiSettings
from indexer.settings import Settings

README = Path(__file__).parents[2] / "README.md"
TABLES: dict[str, type[Any]] = {"indexer settings": Settings, "api settings": ApiSettings}
HEAD = "| key | default | what |\n|---|---|---|\n"


def with_tables(text: str) -> str:
    """Return the README's text with its tables of settings as they are declared."""
    for name, settings in TABLES.items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, rest = text.split(begin)
        text = before + begin + HEAD + _rows(settings) + rest[rest.index(end) :]
    return text


def _rows(settings: type[Any]) -> str:
    return "".join(_row(field.name, field.metadata["setting"]) for field in fields(settings))


def _row(name: str, declaration: Any) -> str:
    default = f"`{declaration.default}`" if declaration.default is not None else ""
    required = "" if declaration.optional or default else "required"
    example = f" Example: `{declaration.example}`"
    return f"| `{name.upper()}` | {default or required} | {declaration.help}{example} |\n"
