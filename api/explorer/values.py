"""Formats values for pages: numbers, times, ages, hashes, and untrusted texts from the chain."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

LONG = 160
"""Characters of a text from the chain that are shown at once; the rest is folded away."""

SHORT = 64
"""Characters of such a text in a heading, a link or a list."""

LONGEST = 20_000
"""Characters that are shown at all. The query has the rest."""

MARKS = 4
"""Combining characters in a row: more of them would be drawn over the lines above and below."""

DIRECTIONS = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Invisible characters, and those that change the order or the breaks of the text around them."""


class ChainText(NamedTuple):
    """A text from the chain: what is shown at once, the whole of it, and its length in characters."""

    shown: str
    whole: str
    length: int
    is_long: bool


def chain_text(value: object) -> ChainText:
    """Returns a text of the chain with nothing invisible in it."""
    text = str(value)
    return ChainText(visible(text[:LONG]), visible(text[:LONGEST]), len(text), len(text) > LONG)


def chain_short(value: object) -> str:
    """Returns the first characters of a text of the chain, with nothing invisible in them."""
    text = str(value)
    return visible(text[:SHORT]) + ("…" if len(text) > SHORT else "")


def visible(text: str) -> str:
    """Returns the text with a visible sign for each character that has none: a NUL is ␀, an override [U+202E]."""
    text = DIRECTIONS.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    return "".join(_signs(text))


def _signs(text: str) -> list[str]:
    signs: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MARKS:
            signs.append(_sign(character))
    return signs


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"[U+{code:04X}]" if 0x80 <= code < 0xA0 else character


def middle(value: object, start: int = 6, end: int = 4) -> str:
    """Returns a hash or an address shortened in its middle: 0x8a1F…c09E."""
    text = str(value)
    return text if len(text) <= start + end + 1 else f"{text[:start]}…{text[-end:]}"


def number(value: object) -> str:
    """Returns a whole number with separators. Long ids are shortened in their middle."""
    text = str(value)
    return f"{int(text):,}" if len(text) <= 20 else middle(text, 10, 6)


def percent(part: int, whole: int) -> str:
    """Returns a share as a percentage: whole above 10, one digit below. A share is 0 or 100 % only if it is exact."""
    if not whole:
        return "none"
    share = 100 * part / whole
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
    return f"{share:.0f} %" if share in (0, 100) or 10 <= share < 99.5 else f"{share:.1f} %"


def instant(value: str) -> datetime:
    """Parses a DateTime of GraphQL's."""
    return datetime.fromisoformat(value)


def day(value: str) -> str:
    """Returns the day of a DateTime: 8 Jul 2025."""
    return _day(instant(value))


def day_and_time(value: str) -> str:
    """Returns a DateTime in UTC: 8 Jul 2025, 14:02."""
    return f"{_day(instant(value))}, {instant(value).astimezone(UTC):%H:%M}"


def to_the_second(value: str | datetime) -> str:
    """Returns a DateTime in UTC: 8 Jul 2025, 14:02:07 UTC."""
    moment = instant(value) if isinstance(value, str) else value
    return f"{_day(moment)}, {moment.astimezone(UTC):%H:%M:%S} UTC"


def _day(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b} {moment.year:04}"


def month(name: str) -> str:
    """Returns a month of a year in words: 2025-07 becomes Jul 2025."""
    return f"{datetime(2000, int(name[5:7]), 1, tzinfo=UTC):%b} {name[:4]}"


STEPS = (("second", 60), ("minute", 60), ("hour", 24), ("day", 30.436875), ("month", 12), ("year", 10**9))


def age(value: str, now: datetime) -> str:
    """Returns how long ago a DateTime is, or how far ahead: 5 months ago, in 12 days."""
    ahead = instant(value) - now
    length = duration(abs(ahead))
    return (
        "just now" if abs(ahead) < timedelta(seconds=1) else f"in {length}" if ahead > timedelta() else f"{length} ago"
    )


def duration(length: timedelta) -> str:
    """Returns a length of time in its largest unit: 5 months."""
    count = float(int(length.total_seconds()))
    steps = iter(STEPS)
    unit, size = next(steps)
    while count >= size:
        count /= size
        unit, size = next(steps)
    return f"{int(count)} {unit}{'' if int(count) == 1 else 's'}"


def words(constant: str) -> str:
    """Returns a constant of GraphQL's as words: IN_SERVICE becomes In service."""
    return constant.replace("_", " ").capitalize()


def web_host(uri: str) -> str | None:
    """Returns the host of a URI from the chain if a browser may follow it; None for any scheme but http and https."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname if parts.scheme in ("http", "https") and visible(uri) == uri else None
    except ValueError:
        return None
    return host if host is None or len(host) <= 60 else middle(host, 40, 12)
