"""`/vehicle/{did}`: a vehicle, the devices in it, who may use it, and its history."""

from typing import Any

from api.explorer.page import Json, Page
from api.explorer.tokens import did_of, grants_of, history_page, last_event, last_events, require_token, source_in_log
from api.explorer.visit import Visit

NOUN = "vehicle"


def vehicle_variables(visit: Visit) -> Json:
    return {"did": did_of(visit, NOUN), **history_page(visit)}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    vehicle = require_token(data["vehicle"], visit, NOUN)
    mint = vehicle["mint"] or {}
    return {
        "vehicle": vehicle,
        "grants": grants_of(vehicle, visit),
        "sources": {
            "mint": source_in_log(vehicle["mint"]),
            "owner": last_event(vehicle["transfers"]),
            "manufacturer": source_in_log(mint if mint.get("manufacturerId") else None),
            "definition": last_event(vehicle["definitions"])
            or source_in_log(mint if mint.get("definitionId") else None),
            "device": last_event(vehicle["pairings"]),
            "synthetic_device": source_in_log((vehicle["syntheticDevice"] or {}).get("mint")),
        },
        "attribute_sources": last_events(vehicle["attributesSet"], "attribute"),
    }


VEHICLE = Page(path="/vehicle/{did}", name="vehicle", variables=vehicle_variables, view=view)
