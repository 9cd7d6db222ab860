"""`/manufacturer/{id}`: the license of a manufacturer and its history, its models, its devices, and what fails."""

from typing import Any

from api.explorer.page import Json, Page
from api.explorer.production import activity_rates, id_of, mints, require
from api.explorer.visit import Visit

EVENTS = 25


def manufacturer_variables(visit: Visit) -> Json:
    return {"id": id_of(visit, "manufacturer"), **visit.page_of(EVENTS)}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    return {
        "maker": require(data["manufacturer"], visit, "manufacturer"),
        "months": mints(data["months"], visit),
        "rates": activity_rates(data["failureStatistics"], visit),
    }


MANUFACTURER = Page(path="/manufacturer/{id}", name="manufacturer", variables=manufacturer_variables, view=view)
