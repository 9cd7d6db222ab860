"""`/synthetic-device/{did}`: a synthetic device, its vehicle, who may use it, and its history."""

from typing import Any

from api.explorer.page import Json, Page
from api.explorer.tokens import did_of, grants_of, history_page, last_event, last_events, require_token, source_in_log
from api.explorer.visit import Visit

NOUN = "synthetic device"


def synthetic_device_variables(visit: Visit) -> Json:
    return {"did": did_of(visit, NOUN), **history_page(visit)}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    synthetic = require_token(data["syntheticDevice"], visit, NOUN)
    return {
        "synthetic": synthetic,
        "grants": grants_of(synthetic, visit),
        "sources": {"mint": source_in_log(synthetic["mint"]), "owner": last_event(synthetic["transfers"])},
        "attribute_sources": last_events(synthetic["attributesSet"], "attribute"),
    }


SYNTHETIC_DEVICE = Page(
    path="/synthetic-device/{did}", name="synthetic_device", variables=synthetic_device_variables, view=view
)
