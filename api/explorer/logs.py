"""The logs on the pages of a transaction and of a block: canonical and orphaned ones."""

from typing import Any

from api.explorer.page import Json
from api.explorer.visit import Visit
from schema.events import Kind

LOGS_ON_A_PAGE = 20

EVERY_KIND = [kind.name for kind in Kind]
"""Lists have UNMAPPED logs only if the filter names the kind."""


def logs_variables(visit: Visit, condition: Json) -> Json:
    """Returns the variables of a document that lists the logs for which a condition holds."""
    return {
        "logs": {**condition, "kind": {"in": EVERY_KIND}},
        **visit.page_of(LOGS_ON_A_PAGE),
        **visit.page_of(LOGS_ON_A_PAGE, "orphaned"),
    }


def summary(data: Json) -> dict[str, Any]:
    """Returns the values of the template: one event of the logs, and whether a reorg removed them."""
    events = data["lifecycleEvents"]
    orphans = data["orphanedEvents"]
    canonical = events["nodes"] or []
    some = canonical or [orphan["event"] for orphan in orphans["nodes"]]
    return {
        "events": events,
        "orphans": orphans,
        "sample": some[0] if some else None,
        "is_removed": not events["totalCount"],
    }
