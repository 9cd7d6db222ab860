"""`/manufacturer/{id}`: the license of a manufacturer and its history, its models, its devices, and what fails."""

from typing import Any

from api.explorer.page import Json, Page
from api.explorer.production import activity_rates, mints, production_variables, require
from api.explorer.visit import Visit


def manufacturer_variables(visit: Visit) -> Json:
    return production_variables(visit, "manufacturer", "tokenId", "manufacturerId")


def view(data: Json, visit: Visit) -> dict[str, Any]:
    return {
        "maker": require(data["manufacturers"]["nodes"], data["named"]["nodes"], visit, "manufacturer"),
        "months": mints(data["months"], visit),
        "rates": activity_rates(data["failureStatistics"], visit),
    }


MANUFACTURER = Page(path="/manufacturer/{id}", name="manufacturer", variables=manufacturer_variables, view=view)
