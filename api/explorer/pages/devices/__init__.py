"""`/devices`: the list of devices. Its filters and its order are parameters of the URL."""

from collections.abc import Callable
from typing import Any, NamedTuple

from api.explorer.page import Json, Page
from api.explorer.pages.device import QUESTIONS
from api.explorer.problems import Problem
from api.explorer.visit import Visit
from api.explorer.vocabulary import LABELS

DEVICES_ON_A_PAGE = 50

STATES = tuple(LABELS["end_of_life"])

CHECKS = {
    "manufacturerLicensedAtMint": "manufacturerLicensedAtMint",
    "hardwareLicensedAtMint": "hardwareLicensedAtMint",
    "imeiValid": "imeiValid",
    "inCircuitTestPassed": "inCircuitTest",
    "mechanicalTestPassed": "mechanicalTest",
    "qualityInspectionPassed": "qualityInspection",
    "provisionedAfterQuality": "provisionedAfterQuality",
    "noActivityAfterEndOfLife": "noActivityAfterEndOfLife",
    "sanitizedBeforeDisposal": "sanitizedBeforeDisposal",
}
"""The checks that devices can be filtered by, with their names in DeviceFilter."""

ORDERS = {
    "newest": ("Newest first", "MINTED_AT", "DESC"),
    "oldest": ("Oldest first", "MINTED_AT", "ASC"),
    "active": ("Latest event first", "LAST_UPDATED_AT", "DESC"),
    "serial": ("Serial number", "SERIAL_NUMBER", "ASC"),
    "token": ("Token", "TOKEN_ID", "ASC"),
    "made": ("Manufactured last", "MANUFACTURED_AT", "DESC"),
}


class Choice(NamedTuple):
    """An option of a field of the form."""

    value: str
    text: str


class Condition(NamedTuple):
    """A filter that is set: what it says, and the address of the list without it."""

    text: str
    without: str


def _day(text: str, end: str) -> str:
    return f"{text}{end}" if len(text) == 10 else text


FILTERS: dict[str, Callable[[str], Json]] = {
    "q": lambda text: {"anyKey": text},
    "state": lambda text: {"endOfLifeStatus": {"eq": text}},
    "manufacturer": lambda text: {"manufacturerId": {"eq": text}},
    "model": lambda text: {"hardwareLicenseId": {"eq": text}},
    "firmware": lambda text: {"firmware": {"version": {"eq": text}}},
    "older": lambda text: {"firmware": {"version": {"lt": text}}},
    "owner": lambda text: {"owner": {"eq": text}},
    "user": lambda text: {"authorizedUser": {"user": {"eq": text}}},
    "organization": lambda text: {"authorizedUser": {"organization": {"eq": text}}},
    "fails": lambda text: {CHECKS[text]: {"eq": "FAIL"}},
    "minted-from": lambda text: {"mintedAt": {"gte": _day(text, "T00:00:00Z")}},
    "minted-to": lambda text: {"mintedAt": {"lte": _day(text, "T23:59:59Z")}},
}
"""The parameters that filter the list: each makes one condition of DeviceFilter."""

TITLES = {
    "q": "key",
    "older": "firmware older than",
    "fails": "fails",
    "minted-from": "minted from",
    "minted-to": "minted until",
}


def devices_variables(visit: Visit) -> Json:
    order = ORDERS.get(visit.parameter("order") or "newest")
    if order is None:
        raise _wrong("order", visit, ORDERS)
    return {
        "filterBy": {"and": conditions} if (conditions := _conditions(visit)) else None,
        "orderBy": {"field": order[1], "direction": order[2]},
        **visit.page_of(DEVICES_ON_A_PAGE),
    }


def _conditions(visit: Visit) -> list[Json]:
    for name, allowed in (("state", STATES), ("fails", tuple(CHECKS))):
        if visit.parameter(name) and visit.parameter(name) not in allowed:
            raise _wrong(name, visit, allowed)
    return [condition(visit.parameter(name)) for name, condition in FILTERS.items() if visit.parameter(name)]


def _wrong(name: str, visit: Visit, allowed: Any) -> Problem:
    message = f"{name} is “{visit.parameter(name)[:80]}”. Give one of {', '.join(allowed)}."
    return Problem(400, "There is no such filter", message)


def view(data: Json, visit: Visit) -> dict[str, Any]:
    makers = {maker["tokenId"]: maker["name"] or maker["tokenId"] for maker in data["manufacturers"]["nodes"]}
    models = {one["hardwareLicenseId"]: one["model"] or one["hardwareLicenseId"] for one in data["models"]["nodes"]}
    states = {state: LABELS["end_of_life"][state].text for state in STATES}
    names = {"state": states, "manufacturer": makers, "model": models, "fails": QUESTIONS}
    return {
        "devices": data["devices"],
        "makers": [Choice(value, text) for value, text in makers.items()],
        "models": [Choice(value, text) for value, text in models.items()],
        "checks": [Choice(name, QUESTIONS[name]) for name in CHECKS],
        "state_choices": [Choice(value, text) for value, text in states.items()],
        "more_open": any(visit.parameter(name) for name in FILTERS if name not in names),
        "orders": [Choice(name, order[0]) for name, order in ORDERS.items()],
        "conditions": [
            Condition(_words(name, names.get(name, {}).get(value, value)), visit.here(**{name: None}))
            for name in FILTERS
            if (value := visit.parameter(name))
        ],
    }


def _words(name: str, value: str) -> str:
    return f"{TITLES.get(name, name)}: {value}"


DEVICES = Page(path="/devices", name="devices", variables=devices_variables, view=view)
