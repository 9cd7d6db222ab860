"""Settings as data: one declaration yields the option, the environment variable, its help and its errors.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Settings:
        port: int = setting(whole_number(0, 65535), default="8000", help="Port to listen on.", example="8000")

`port` is read from `--port`, else from `PORT`, else from its default. An empty value counts as not set.
"""

import argparse
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SettingsT = TypeVar("SettingsT", bound="DataclassInstance")


class SettingsError(Exception):
    """Settings are missing or wrong. The message has a line for each: its name, its value, a valid example."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `setting` was called with."""

    parse: Callable[[str], Any]
    help: str
    example: str
    default: str | None
    optional: bool
    shown: Callable[[str], str]


def setting(
    parse: Callable[[str], Any],
    *,
    help: str,
    example: str,
    default: str | None = None,
    optional: bool = False,
    shown: Callable[[str], str] | None = None,
) -> Any:
    """Declares a setting. `parse` raises ValueError with what is wrong. An optional setting without a value is None.

    `shown` returns a wrong value as an error may show it: without its secrets; by default without passwords.
    """
    declaration = Declaration(parse, help, example, default, optional, shown or without_password)
    metadata = {"setting": declaration}
    if default is not None:
        return field(default_factory=lambda: parse(default), metadata=metadata)
    return field(default=None, metadata=metadata) if optional else field(default=MISSING, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, settings: "type[DataclassInstance]") -> None:
    """Adds an option for every setting; its help has the default and an example of the environment variable."""
    parser.formatter_class = _WholeExamples
    group = parser.add_argument_group("settings, also read from the environment; an option overrides it")
    for name, declaration in _declarations(settings).items():
        group.add_argument(_option(name), dest=name, metavar="VALUE", help=_help(name, declaration))


class _WholeExamples(argparse.HelpFormatter):
    """Breaks help between words only, so that an example can be copied whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def read_settings(
    settings: type[SettingsT], options: argparse.Namespace | None, environ: Mapping[str, str]
) -> SettingsT:
    """Returns the settings. Raises SettingsError with all that is wrong, not only the first."""
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name, declaration in _declarations(settings).items():
        try:
            values |= _read(name, declaration, options, environ)
        except SettingsError as error:
            errors.append(str(error))
    if errors:
        raise SettingsError("\n".join(errors))
    return settings(**values)


def _declarations(settings: "type[DataclassInstance]") -> dict[str, Declaration]:
    return {field.name: field.metadata["setting"] for field in fields(settings)}


def _read(
    name: str, declaration: Declaration, options: argparse.Namespace | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    key = _key(name)
    for source, separator, text in (
        (_option(name), " ", getattr(options, name, None)),
        (key, "=", environ.get(key)),
    ):
        if not text:
            continue
        try:
            return {name: declaration.parse(text)}
        except ValueError as error:
            example = f"{source}{separator}{declaration.example}"
            raise SettingsError(f'{source} is "{declaration.shown(text)}": {error}. Example: {example}') from None
    if declaration.default is None and not declaration.optional:
        raise SettingsError(f"{key} is not set. Example: {key}={declaration.example}")
    return {}


def _key(name: str) -> str:
    return name.upper()


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _help(name: str, declaration: Declaration) -> str:
    default = f" Default: {declaration.default}." if declaration.default else ""
    required = "" if declaration.optional or declaration.default is not None else " Required."
    text = f"{declaration.help}{default}{required} Example: {_key(name)}={declaration.example}"
    return text.replace("%", "%%")


def without_password(text: str) -> str:
    """Returns the text with the passwords in its URLs hidden, for logs and errors, whatever characters they have."""
    hidden = re.sub(r"(://[^:@\s]*):(?:(?!://)\S)*@", r"\1:***@", text)
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&\s]*", r"\1***", hidden)


# Parsers


def text(value: str) -> str:
    """Takes any text."""
    return value


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Takes a whole number from minimum to maximum."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,30}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"not a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def seconds(minimum: float, maximum: float) -> Callable[[str], float]:
    """Takes a number of seconds from minimum to maximum."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value) or not minimum <= float(value) <= maximum:
            raise ValueError(f"not a number of seconds from {minimum:g} to {maximum:g}")
        return float(value)

    return parse


def switch(value: str) -> bool:
    """Takes on or off."""
    if value not in ("on", "off"):
        raise ValueError("neither on nor off")
    return value == "on"


def one_of(*choices: str) -> Callable[[str], str]:
    """Takes one of the choices."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"none of {', '.join(choices)}")
        return value

    return parse


database_pooler: str = setting(
    one_of("detected", "transaction"),
    default="detected",
    help="Pooler before PostgreSQL. transaction: it may give each transaction another session of the server; no "
    "statement is prepared there, and the API polls for new blocks. detected: each connection is checked for that, by "
    "the process id of its session.",
    example="transaction",
)

log_format: str = setting(
    one_of("console", "json"),
    default="console",
    help="Format of the log on standard error: console (lines for people) or json (one object a line).",
    example="json",
)

metrics_host: str = setting(
    text,
    default="127.0.0.1",
    help="Address to serve metrics on. They are for operators, not for the public.",
    example="0.0.0.0",
)
metrics_port: int | None = setting(
    whole_number(0, 65535),
    optional=True,
    help="Port to serve Prometheus metrics on, at METRICS_HOST. If not set, they are not served.",
    example="9100",
)


def database_url(value: str) -> str:
    """Takes the URL of a SQLite file, or a URL or connection string of PostgreSQL's libpq."""
    if not re.fullmatch(r"sqlite:///.+|postgres(ql)?(\+psycopg)?://.*|\s*[a-z_]+\s*=.*", value, re.DOTALL):
        raise ValueError("not a URL of SQLite (sqlite:///file.db) or PostgreSQL (postgresql://user:password@host/name)")
    return value


def shown_database(value: str) -> str:
    """Returns the setting of a database without its password, whatever characters the password has."""
    hidden = re.sub(r"://.*@", "://***@", value, flags=re.DOTALL)
    return re.sub(r"password\s*=.*", "password=***", hidden, flags=re.DOTALL)


indexed_database: str = setting(
    database_url,
    default="sqlite:///certindex.db",
    help="Database that the indexer writes; this process only reads it.",
    example="postgresql://user:password@localhost/certindex",
    shown=shown_database,
)
