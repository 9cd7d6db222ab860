"""What the programs log: outcomes with fields, as lines for people or as JSON for machines (LOG_FORMAT).

    tell(log, INFO, "indexed", " blocks={first}..{last} events={events}", first=1, last=64, events=7)

is `2026-11-22T19:00:00+0000 INFO indexed blocks=1..64 events=7`, or one JSON object with the fields by name.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from schema.program.settings import without_password

CHATTY = ("apscheduler", "alembic", "websockets")
JSON = "json"

Hide = Callable[[str], str]
"""Returns a text without its secrets."""


def configure(log_format: str, hide: Hide = without_password) -> None:
    """Lets all that is logged, also by libraries, go to standard error in one format."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines(hide) if log_format == JSON else _Lines(hide))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def is_json() -> bool:
    """Tells whether what reads standard error expects JSON."""
    return any(isinstance(handler.formatter, _JsonLines) for handler in logging.getLogger().handlers)


def tell(log: logging.Logger, level: int, event: str, details: str = "", /, **fields: Any) -> None:
    """Logs an event; `details` are for people, and may name fields."""
    if log.isEnabledFor(level):
        log.log(level, "%s", event + details.format(**fields), extra={"event": event, "fields": fields})


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
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None) or record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        shown = {key: self._hide(value) if isinstance(value, str) else value for key, value in told.items()}
        return msgspec.json.encode(shown, enc_hook=str).decode()
