"""Filters of lists: parameters of the URL, each of which makes one condition of a filter of GraphQL's."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from api.explorer.page import Json
from api.explorer.problems import Problem, WayOut
from api.explorer.visit import Visit

Filters = Mapping[str, Callable[[str], Json]]
"""By the name of a parameter: what makes a condition of its text."""

Words = Mapping[str, Mapping[str, str]]
"""By the name of a parameter: the words of its values."""


class Choice(NamedTuple):
    """An option of a field of the form."""

    value: str
    text: str


class Condition(NamedTuple):
    """A filter that is set: its text, and the address of the list without it."""

    text: str
    without: str


def first_second(text: str) -> str:
    """Returns the beginning of a day; a time as it is."""
    return f"{text}T00:00:00Z" if len(text) == 10 else text


def last_second(text: str) -> str:
    """Returns the end of a day; a time as it is."""
    return f"{text}T23:59:59Z" if len(text) == 10 else text


def filter_of(filters: Filters, visit: Visit) -> Json | None:
    """Returns the filter that all parameters make together, None if none is set."""
    texts = {name: text for name in filters if (text := visit.parameter(name))}
    for name, text in texts.items():
        _require_form(visit, name, text)
    conditions = [filters[name](text) for name, text in texts.items()]
    return {"and": conditions} if conditions else None


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(first_second(text)).tzinfo is not None
    except ValueError:
        return False


IsValid = Callable[[str], object]
ADDRESS = re.compile("0[xX][0-9a-fA-F]{40}")
ACCOUNT: tuple[IsValid, str] = (ADDRESS.fullmatch, "an address: 0x and 40 hexadecimal digits")
MOMENT: tuple[IsValid, str] = (_is_moment, "a date (2025-06-01), or a time with its zone (2025-06-01T12:00:00Z)")
FORMS: Mapping[str, tuple[IsValid, str]] = {
    "owner": ACCOUNT,
    "user": ACCOUNT,
    "manufacturer": (re.compile("[0-9]{1,78}").fullmatch, "the id of a manufacturer, a number"),
    "from": MOMENT,
    "to": MOMENT,
}
"""By the name of a parameter: the form of its text, and its description."""


def _require_form(visit: Visit, name: str, text: str) -> None:
    """Raises Problem, which names the parameter, if its text has another form than what it stands for."""
    is_valid, form = FORMS.get(name, (bool, ""))
    if not is_valid(text):
        raise _wrong(visit, name, f"{name} is “{text[:80]}”. Give {form}.")


def require_choice(visit: Visit, name: str, allowed: Iterable[str]) -> None:
    """Raises Problem if a parameter is set to a value that it cannot have."""
    if (text := visit.parameter(name)) and text not in allowed:
        raise _wrong(visit, name, f"{name} is “{text[:80]}”. Give one of {', '.join(allowed)}.")


def _wrong(visit: Visit, name: str, message: str) -> Problem:
    return Problem(400, "There is no such filter", message, [WayOut("Remove this filter", visit.here(**{name: None}))])


def choices(words: Mapping[str, str]) -> list[Choice]:
    return [Choice(value, text) for value, text in words.items()]


def conditions_set(filters: Filters, visit: Visit, titles: Mapping[str, str], words: Words) -> list[Condition]:
    """Returns the filters that are set. `titles` has the words of parameters that do not read well."""
    return [
        Condition(f"{titles.get(name, name)}: {words.get(name, {}).get(text, text)}", visit.here(**{name: None}))
        for name in filters
        if (text := visit.parameter(name))
    ]
