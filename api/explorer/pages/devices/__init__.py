"""`/devices`: the list of devices. Its filters and its order are parameters of the URL."""

from typing import Any

from api.explorer.downloads import file_links
from api.explorer.filters import (
    Choice,
    Filters,
    choices,
    conditions_set,
    filter_of,
    first_second,
    last_second,
    require_choice,
)
from api.explorer.page import Json, Page
from api.explorer.pages.device import QUESTIONS
from api.explorer.visit import Visit
from api.explorer.vocabulary import LABELS

DEVICES_ON_A_PAGE = 50

STATES = tuple(LABELS["end_of_life"])

CHECKS = {
    "manufacturerLicensedAtMint": "manufacturerLicensedAtMint",
    "hardwareLicensedAtMint": "hardwareLicensedAtMint",
    "imeiValid": "imeiValid",
    "imeiUnique": "imeiUnique",
    "serialUniqueForManufacturer": "serialUniqueForManufacturer",
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


FILTERS: Filters = {
    "q": lambda text: {"anyKey": text},
    "state": lambda text: {"endOfLifeStatus": {"eq": text}},
    "chain": lambda text: {"chainId": {"eq": text}},
    "manufacturer": lambda text: {"manufacturerId": {"eq": text}},
    "model": lambda text: {"hardwareLicenseId": {"eq": text}},
    "firmware": lambda text: {"firmware": {"version": {"eq": text}}},
    "older": lambda text: {"firmware": {"version": {"lt": text}}},
    "owner": lambda text: {"owner": {"eq": text}},
    "user": lambda text: {"authorizedUser": {"user": {"eq": text}}},
    "organization": lambda text: {"authorizedUser": {"organization": {"eq": text}}},
    "fails": lambda text: {CHECKS[text]: {"eq": "FAIL"}},
    "minted-from": lambda text: {"mintedAt": {"gte": first_second(text)}},
    "minted-to": lambda text: {"mintedAt": {"lte": last_second(text)}},
}
"""The parameters that filter the list: each makes one condition of DeviceFilter."""

TITLES = {
    "q": "key",
    "chain": "network",
    "older": "firmware older than",
    "fails": "fails",
    "minted-from": "minted from",
    "minted-to": "minted until",
}


def devices_variables(visit: Visit) -> Json:
    for name, allowed in (("order", ORDERS), ("state", STATES), ("fails", CHECKS)):
        require_choice(visit, name, allowed)
    _, field, direction = ORDERS[visit.parameter("order") or "newest"]
    return {
        "filterBy": filter_of(FILTERS, visit),
        "orderBy": {"field": field, "direction": direction},
        **visit.page_of(DEVICES_ON_A_PAGE),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    makers = {maker["tokenId"]: maker["name"] or maker["tokenId"] for maker in data["manufacturers"]["nodes"]}
    models = {one["hardwareLicenseId"]: one["model"] or one["hardwareLicenseId"] for one in data["models"]["nodes"]}
    states = {state: LABELS["end_of_life"][state].text for state in STATES}
    words = {"state": states, "manufacturer": makers, "model": models, "fails": QUESTIONS}
    shown = devices_variables(visit)
    return {
        "devices": data["devices"],
        "files": file_links(visit, "devices", filter=shown["filterBy"], orderBy=shown["orderBy"]),
        "makers": choices(makers),
        "models": choices(models),
        "checks": [Choice(name, QUESTIONS[name]) for name in CHECKS],
        "state_choices": choices(states),
        "more_open": any(visit.parameter(name) for name in FILTERS if name not in words),
        "orders": [Choice(name, order[0]) for name, order in ORDERS.items()],
        "conditions": conditions_set(FILTERS, visit, TITLES, words),
    }


DEVICES = Page(path="/devices", name="devices", variables=devices_variables, view=view)
