"""`/model/{id}`: the hardware license of a model and its history, its devices and their firmware, and what fails."""

from typing import Any

from api.explorer.charts import shares
from api.explorer.page import Json, Page
from api.explorer.production import activity_rates, counts_of, mints, production_variables, require
from api.explorer.visit import Visit

VERSIONS = 6
"""Firmware versions that are listed; the rest is one line."""


def model_variables(visit: Visit) -> Json:
    return production_variables(visit, "model", "hardwareLicenseId", "hardwareLicenseId")


def view(data: Json, visit: Visit) -> dict[str, Any]:
    return {
        "hardware": require(data["hardwareLicenses"]["nodes"], data["named"]["nodes"], visit, "model"),
        "months": mints(data["months"], visit),
        "states": shares(counts_of(data["states"]), 5),
        "versions": shares(counts_of(data["firmware"]), VERSIONS),
        "rates": activity_rates(data["failureStatistics"], visit),
    }


MODEL = Page(path="/model/{id}", name="model", variables=model_variables, view=view)
