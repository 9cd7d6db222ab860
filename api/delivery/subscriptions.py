"""The file of the subscriptions: who receives which events.

[[subscription]]
name = "acme"
url = "https://acme.example/hooks/devices"
secrets = ["env:ACME_WEBHOOK_SECRET"]
filter = { kind = { in = ["FIRMWARE_UPDATED"] } }
finality = "SAFE"
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from api.delivery.signing import SigningKey, parse_key
from schema.program.settings import SettingsError

WEBHOOK, NATS, REDIS = "webhook", "nats", "redis"
KINDS = {
    "https": WEBHOOK,
    "http": WEBHOOK,
    "nats": NATS,
    "tls": NATS,
    "redis": REDIS,
    "rediss": REDIS,
}
"""The kind of a receiver by the scheme of its URL."""

BEGINNING, NOW = "beginning", "now"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
OURS = ("content-length", "content-type", "host", "transfer-encoding", "connection", "user-agent")
"""Headers that a request has already; so has it those that begin with `webhook-`."""

SHORTEST_SECRET = 8
"""Characters of a value that is concealed: shorter ones are words and numbers that any text has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A receiver and what it receives."""

    name: str
    url: str
    secrets: tuple[SigningKey, ...] = ()
    filter: Mapping[str, Any] = field(default_factory=dict)
    finality: str = "UNSAFE"
    start: str = NOW
    fields: str | None = None
    timeout: float = 15.0
    headers: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    subject: str = "certindex.events"
    stream: str = "certindex:events"
    max_length: int | None = None

    @property
    def kind(self) -> str:
        return KINDS[urlsplit(self.url).scheme]

    @property
    def shown_url(self) -> str:
        """The URL without user, password, path and query, which may hold secrets."""
        return shown_url(self.url)

    def concealed(self, text: str) -> str:
        """Returns what a receiver wrote without the secrets that the request has: some receivers echo it."""
        values = [part for value in self.headers.values() for part in (value, value.rpartition(" ")[2])]
        parts = urlsplit(self.url)
        for secret in (parts.query, parts.path, *values):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "...")
        return text


def shown_url(url: str) -> str:
    """Returns a URL without user, password, path and query: some services take the path for the password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{'/...' if parts.path.strip('/') or parts.query else ''}"


def read_subscriptions(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Subscription, ...]:
    """Returns the subscriptions of a file. Raises SettingsError with all that is wrong."""
    errors: list[str] = []
    subscriptions: list[Subscription] = []
    for number, table in enumerate(_tables(path), 1):
        name = table.get("name") if isinstance(table, dict) else None
        place = f'subscription "{name}"' if isinstance(name, str) else f"subscription {number}"
        values, wrong = _parse(table, environ)
        errors += [f"{path}: {place}: {error}" for error in wrong]
        if not wrong:
            subscriptions.append(Subscription(**values))
    names = [subscription.name for subscription in subscriptions]
    errors += [
        f'{path}: {names.count(name)} subscriptions have the name "{name}": give each a name of its own.'
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if errors:
        raise SettingsError("\n".join(errors))
    return tuple(subscriptions)


def _tables(path: Path) -> Sequence[Any]:
    """Returns the tables `[[subscription]]` of a file. Raises SettingsError."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}. Name the file of the subscriptions: {EXAMPLE}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. {EXAMPLE}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from None
    unknown = [key for key in document if key != "subscription"]
    if unknown:
        raise SettingsError(f'{path}: unknown key "{unknown[0]}": the file has tables [[subscription]] only.')
    tables = document.get("subscription")
    if not isinstance(tables, list) or not tables:
        raise SettingsError(f"{path} has no subscription: begin one with the line [[subscription]].")
    return tables


EXAMPLE = "SUBSCRIPTIONS=/etc/certindex/subscriptions.toml"


def _parse(table: Any, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the values of a table, and what is wrong."""
    if not isinstance(table, dict):
        return {}, ["not a table: write [[subscription]]."]
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name in ("name", "url"):
        if name not in table:
            errors.append(f'"{name}" is missing. Example: {name} = {KEYS[name].example}')
    for name, value in table.items():
        key = KEYS.get(name)
        if key is None:
            errors.append(f'unknown key "{name}". Keys: {", ".join(KEYS)}.')
            continue
        try:
            values[name] = key.parse(value, environ)
        except SettingsError as error:
            errors.append(str(error))
        except ValueError as error:
            errors.append(f"{name}{_shown(key, value)}: {error}. Example: {name} = {key.example}")
    if not errors:
        errors += _misfits(values)
    return values, errors


def _misfits(values: Mapping[str, Any]) -> list[str]:
    """Returns the errors of keys that do not fit the kind of the receiver."""
    kind = KINDS[urlsplit(values["url"]).scheme]
    errors = [
        f'"{name}" is for {key.kind} receivers; {shown_url(values["url"])} is {kind}.'
        for name, key in KEYS.items()
        if name in values and key.kind not in (None, kind)
    ]
    if kind == WEBHOOK and not values.get("secrets"):
        errors.append(
            f'"secrets" is missing, so that the receiver could not verify who sends. '
            f"Example: secrets = {KEYS['secrets'].example}; certindex deliver secret makes one"
        )
    return errors


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a subscription. `kind`: the only kind of receiver that has it. A secret value is not shown in errors."""

    parse: Callable[[Any, Mapping[str, str]], Any]
    help: str
    example: str
    default: str = ""
    kind: str | None = None
    secret: bool = False


def _shown(key: Key, value: Any) -> str:
    if key.secret:
        return ""
    return f' is "{value[:100]}"' if isinstance(value, str) else f" is {str(value)[:100]}"


def _text(value: Any, environ: Mapping[str, str] = os.environ) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text in quotes")
    return value


def _name(value: Any, environ: Mapping[str, str]) -> str:
    if not NAME.fullmatch(_text(value)):
        raise ValueError("not 1 to 63 small letters, digits, dots, dashes and underscores, the first a letter or digit")
    return str(value)


def _url(value: Any, environ: Mapping[str, str]) -> str:
    return check_url(resolve(value, environ))


def check_url(url: str) -> str:
    """Returns the URL of a receiver. Raises ValueError."""
    if re.search(r"[\s\x00-\x20\x7f]", url):
        raise ValueError("a URL has no blanks and no control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(str(error)) from None
    if parts.scheme not in KINDS:
        raise ValueError(f"its scheme is none of {', '.join(KINDS)}")
    if not parts.hostname or port == 0:
        raise ValueError("it names no host, or port 0")
    _check_parts(parts)
    return url


def _check_parts(parts: SplitResult) -> None:
    if KINDS[parts.scheme] != WEBHOOK:
        return
    if parts.username is not None or parts.password is not None:
        raise ValueError("a webhook's URL has no user and password: send them as headers = { Authorization = ... }")
    if parts.fragment:
        raise ValueError("a fragment (#...) is never sent: leave it out")
    try:
        str(parts.hostname).encode("idna")
    except UnicodeError:
        raise ValueError("its host is no name that DNS can have") from None


def resolve(value: Any, environ: Mapping[str, str]) -> str:
    """Returns a text, or what `env:NAME` or `file:PATH` names. Raises ValueError."""
    text = _text(value)
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        if not environ.get(name):
            raise ValueError(f"the environment variable {name} is not set")
        return environ[name].strip()
    if text.startswith("file:"):
        try:
            return Path(text.removeprefix("file:")).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{text.removeprefix('file:')} cannot be read: {error}") from None
    return text


def _secrets(value: Any, environ: Mapping[str, str]) -> tuple[SigningKey, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("not a list of secrets")
    keys = []
    for number, text in enumerate(value, 1):
        try:
            keys.append(parse_key(resolve(text, environ)))
        except ValueError as error:
            raise ValueError(f"secret {number} of {len(value)}: {error}") from None
    return tuple(keys)


def _filter(value: Any, environ: Mapping[str, str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a table")
    plain = _plain(value)
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    """Returns a TOML value as JSON has it: times as texts."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
    return value


def _one_of(*names: str) -> Callable[[Any, Mapping[str, str]], str]:
    def parse(value: Any, environ: Mapping[str, str]) -> str:
        if value not in names:
            raise ValueError(f"none of {', '.join(names)}")
        return str(value)

    return parse


def _number(least: float, most: float) -> Callable[[Any, Mapping[str, str]], float]:
    def parse(value: Any, environ: Mapping[str, str]) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError(f"not a number from {least:g} to {most:g}")
        return value

    return parse


def _headers(value: Any, environ: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError("not a table of names and values")
    headers = {}
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in OURS or name.lower().startswith("webhook-"):
            raise ValueError(f'"{name}" is no name of a header, or is one that every request has already')
        headers[name] = resolve(text, environ)
        if not HEADER_VALUE.fullmatch(headers[name]):
            raise ValueError(f"the value of {name} has characters that a header cannot have")
    return headers


def _switch(value: Any, environ: Mapping[str, str]) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _subject(value: Any, environ: Mapping[str, str]) -> str:
    if not SUBJECT.fullmatch(_text(value)):
        raise ValueError("not words that dots separate, without blanks, * and >")
    return str(value)


def _length(value: Any, environ: Mapping[str, str]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 10**12:
        raise ValueError("not a whole number from 1 on")
    return value


KEYS: Mapping[str, Key] = {
    "name": Key(_name, "Names the subscription in the state, logs and metrics. Required.", '"acme"'),
    "url": Key(
        _url,
        "The receiver: `https://` or `http://` for a webhook, `nats://` or `tls://` for NATS JetStream, `redis://` or "
        "`rediss://` for a Redis stream. Required.",
        '"https://acme.example/hooks"',
        secret=True,
    ),
    "secrets": Key(
        _secrets,
        "What signs a webhook: `whsec_...` (v1, HMAC-SHA256) and `whsk_...` (v1a, Ed25519). Each adds a signature, so "
        "that a receiver may know the old or the new one while a secret is replaced.",
        '["env:ACME_SECRET"]',
        kind=WEBHOOK,
        secret=True,
    ),
    "filter": Key(
        _filter,
        "Which events: the [filter of the feed](feed.md#filters).",
        '{ kind = { in = ["FIRMWARE_UPDATED"] } }',
        "all events",
    ),
    "finality": Key(
        _one_of("UNSAFE", "SAFE", "FINALIZED"),
        "The finality that a block must reach before its events are sent. With `FINALIZED` nothing is retracted.",
        '"FINALIZED"',
        "UNSAFE",
    ),
    "start": Key(
        _one_of(BEGINNING, NOW),
        "Where a new subscription starts: `beginning` sends every event that was indexed. Later starts go on where the "
        "last one ended.",
        '"beginning"',
        "now",
    ),
    "fields": Key(
        _text,
        "The fields of `data.event`, as a GraphQL selection of `LifecycleEvent`.",
        '"id kind device { tokenDID owner }"',
        "all that the event recorded",
    ),
    "timeout": Key(_number(1, 60), "Seconds that the receiver may take for a message.", "30", "15"),
    "headers": Key(
        _headers, "Further headers of each request.", '{ Authorization = "env:ACME_TOKEN" }', kind=WEBHOOK, secret=True
    ),
    "enabled": Key(_switch, "With `false` nothing is sent, and the position is kept.", "false", "true"),
    "subject": Key(_subject, "The subject of the JetStream stream.", '"devices.acme"', "certindex.events", kind=NATS),
    "stream": Key(_text, "The key of the Redis stream.", '"devices"', "certindex:events", kind=REDIS),
    "max_length": Key(
        _length, "The length at which Redis trims the stream, about.", "1000000", "not trimmed", kind=REDIS
    ),
}
