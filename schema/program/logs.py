"""Logs: events with fields, as lines for people or as JSON for machines (LOG_FORMAT).

    log_event(log, INFO, "indexed", " blocks={first}..{last} events={events}", 1, 64, 7)

is `2026-11-22T19:00:00+0000 INFO indexed blocks=1..64 events=7`, or a JSON object with the fields first, last, events.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from string import Formatter
from typing import Any

import msgspec

from schema.program.settings import without_password

CHATTY = ("apscheduler", "alembic", "websockets")
JSON = "json"

Hide = Callable[[str], str]
"""Returns a text without its secrets."""


def configure(log_format: str, hide: Hide = without_password) -> None:
    """Sends all log records, also those of libraries, to standard error in one format."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines(hide) if log_format == JSON else _Lines(hide))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for library in CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)


def is_json() -> bool:
    """Returns whether the log is written as JSON."""
    return any(isinstance(handler.formatter, _JsonLines) for handler in logging.getLogger().handlers)


def log_event(log: logging.Logger, level: int, event: str, details: str = "", /, *values: Any, **fields: Any) -> None:
    """Logs an event. `details` continues its line for people, and names the fields that hold `values`, in their order.

    `fields` are further fields, which only JSON shows.
    """
    if log.isEnabledFor(level):
        fields = dict(zip(_field_names(details), values, strict=True)) | fields
        log.log(level, "%s", event + details.format(**fields), extra={"event": event, "fields": fields})


@cache
def _field_names(details: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(details) if name)


class _Lines(logging.Formatter):
    def __init__(self, hide: Hide) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


class _JsonLines(logging.Formatter):
    def __init__(self, hide: Hide) -> None:
        super().__init__()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None) or record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        shown = {key: self._hide(value) if isinstance(value, str) else value for key, value in line.items()}
        return msgspec.json.encode(shown, enc_hook=str).decode()
