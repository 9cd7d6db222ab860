"""`/vehicles`: the list of vehicles. Its filters and its order are parameters of the URL."""

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
from api.explorer.visit import Visit

VEHICLES_ON_A_PAGE = 50

STATES = {"active": "Active", "burned": "Burned"}
ORDERS = {
    "newest": ("Newest first", "MINTED_AT", "DESC"),
    "oldest": ("Oldest first", "MINTED_AT", "ASC"),
    "token": ("Token", "TOKEN_ID", "ASC"),
}

FILTERS: Filters = {
    "state": lambda text: {"burned": text == "burned"},
    "chain": lambda text: {"chainId": {"eq": text}},
    "manufacturer": lambda text: {"manufacturerId": {"eq": text}},
    "definition": lambda text: {"definitionId": {"startsWith": text}},
    "owner": lambda text: {"owner": {"eq": text}},
    "user": lambda text: {"authorizedUser": {"user": {"eq": text}}},
    "device": lambda text: {"deviceId": {"eq": text}},
    "minted-from": lambda text: {"mintedAt": {"gte": first_second(text)}},
    "minted-to": lambda text: {"mintedAt": {"lte": last_second(text)}},
}
"""The parameters that filter the list: each makes one condition of VehicleFilter."""

TITLES = {
    "chain": "network",
    "definition": "definition begins with",
    "device": "paired device",
    "minted-from": "minted from",
    "minted-to": "minted until",
}


def vehicles_variables(visit: Visit) -> Json:
    for name, allowed in (("order", tuple(ORDERS)), ("state", tuple(STATES))):
        require_choice(visit, name, allowed)
    _, field, direction = ORDERS[visit.parameter("order") or "newest"]
    return {
        "filterBy": filter_of(FILTERS, visit),
        "orderBy": {"field": field, "direction": direction},
        **visit.page_of(VEHICLES_ON_A_PAGE),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    makers = {maker["tokenId"]: maker["name"] or maker["tokenId"] for maker in data["manufacturers"]["nodes"]}
    words = {"state": STATES, "manufacturer": makers}
    shown = vehicles_variables(visit)
    return {
        "vehicles": data["vehicles"],
        "files": file_links(visit, "vehicles", filter=shown["filterBy"], orderBy=shown["orderBy"]),
        "makers": choices(makers),
        "state_choices": choices(STATES),
        "more_open": any(visit.parameter(name) for name in FILTERS if name not in words),
        "orders": [Choice(name, order[0]) for name, order in ORDERS.items()],
        "conditions": conditions_set(FILTERS, visit, TITLES, words),
    }


VEHICLES = Page(path="/vehicles", name="vehicles", variables=vehicles_variables, view=view)
