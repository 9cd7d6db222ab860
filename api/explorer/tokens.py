"""The shared part of the pages of devices, vehicles and synthetic devices: DID, grants, history."""

from datetime import timedelta
from typing import NamedTuple

from api.explorer.page import Json
from api.explorer.problems import WayOut, not_found
from api.explorer.values import instant
from api.explorer.visit import Visit
from schema.did import EXAMPLE, parse_did

EVENTS = 25
"""Events on a page of the history."""

SOON = timedelta(days=30)
"""How early a grant counts as one that ends soon."""


class Grant(NamedTuple):
    """A grant, and its state: `active`, `ends soon`, `ended` or `expired`."""

    row: Json
    state: str


def did_of(visit: Visit, noun: str = "device") -> str:
    """Returns the DID in the path. `noun`: what it names. Raises Problem."""
    did = visit.keys["did"]
    token = parse_did(did)
    if token is None or token.token_id >= 2**256 or token.chain_id >= 2**63:
        raise visit.misnamed(did, f"the DID of a {noun}", f"is not the DID of a {noun}. Example: {EXAMPLE}")
    return did


def require_token(token: Json | None, visit: Visit, noun: str = "device") -> Json:
    """Returns the token of an answer. `noun`: what it is. Raises Problem if there is none."""
    if token is not None:
        return token
    did = visit.keys["did"]
    if visit.as_of:
        way_out = WayOut("Show it now", visit.now_href)
        raise not_found(f"There was no {noun} {did} at that point. It may have been minted later.", way_out, did)
    raise not_found(
        f"There is no {noun} {did} in this register. It may be on a network that is not indexed here.", query=did
    )


def history_page(visit: Visit) -> Json:
    """Returns the variables of a page of the history."""
    return {"first": None, "last": None, "after": None, "before": None} | visit.page_of(EVENTS)


def grants_of(token: Json, visit: Visit) -> list[Grant]:
    """Returns the grants of a token, each with its state."""
    return [Grant(row, grant_state(row, visit)) for row in token["grants"]["nodes"]]


def grant_state(grant: Json, visit: Visit) -> str:
    """Returns whether a grant is `active`, `ends soon`, `ended` by an event, or `expired`, by the visit's clock."""
    if grant["revokedAt"]:
        return "ended"
    if grant["expiresAt"] is None:
        return "active"
    left = instant(grant["expiresAt"]) - visit.clock
    return "expired" if left <= timedelta() else "ends soon" if left <= SOON else "active"


def source_in_log(event: Json | None) -> Json | None:
    """Returns the source of a value that an event states, in the form of a ValueSource of GraphQL's."""
    return None if event is None else {"origin": "LOG", "event": event}


def last_event(events: Json) -> Json | None:
    """Returns the source of a value that the last event of a connection states. None if there is none."""
    return source_in_log(events["nodes"][-1]) if events["nodes"] else None


def last_events(events: Json, field: str) -> dict[str, Json | None]:
    """Returns the source in the last event of each value of a field. `events` are oldest first."""
    return {event[field]: source_in_log(event) for event in events["nodes"]}
