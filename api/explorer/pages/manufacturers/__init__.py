"""`/manufacturers`: who makes devices, under which license, and what needs attention."""

from typing import Any

from api.explorer.downloads import file_links
from api.explorer.filters import Filters, choices, conditions_set, require_choice
from api.explorer.page import Json, Page
from api.explorer.visit import Visit
from api.explorer.vocabulary import LABELS

MANUFACTURERS_ON_A_PAGE = 25

FILTERS: Filters = {
    "name": lambda text: {"name": {"startsWith": text}},
    "license": lambda text: {"licenseStatus": {"eq": text}},
}
"""The parameters that filter the list: each sets one field of ManufacturerFilter."""

LICENSES = {status: label.text for status, label in LABELS["license"].items()}
ORDERS = {"id": ("By id", "TOKEN_ID"), "name": ("By name", "NAME")}


def manufacturers_variables(visit: Visit) -> Json:
    require_choice(visit, "license", LICENSES)
    require_choice(visit, "order", ORDERS)
    fields: Json = {}
    for name, condition in FILTERS.items():
        if text := visit.parameter(name):
            fields |= condition(text)
    return {
        "filterBy": fields or None,
        "orderBy": {"field": ORDERS[visit.parameter("order") or "id"][1], "direction": "ASC"},
        **visit.page_of(MANUFACTURERS_ON_A_PAGE),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    shown = manufacturers_variables(visit)
    return {
        "manufacturers": data["manufacturers"],
        "files": file_links(visit, "manufacturers", filter=shown["filterBy"], orderBy=shown["orderBy"]),
        "licenses": choices(LICENSES),
        "orders": choices({name: text for name, (text, _) in ORDERS.items()}),
        "conditions": conditions_set(FILTERS, visit, {"name": "name begins with"}, {"license": LICENSES}),
    }


MANUFACTURERS = Page(
    path="/manufacturers", name="manufacturers", variables=manufacturers_variables, view=view, counts_register=True
)
