"""`/device/{did}`: the certificate of a device, its history, and how far each can be trusted."""

from datetime import timedelta
from typing import Any, NamedTuple

from api.explorer.page import Json, Page
from api.explorer.problems import Problem, WayOut, not_found
from api.explorer.qr import qr_code
from api.explorer.values import instant
from api.explorer.visit import Visit
from schema.did import EXAMPLE, parse_did

EVENTS = 25
"""Events on a page of the history."""

SOON = timedelta(days=30)
"""How early a grant counts as one that ends soon."""

QUESTIONS = {
    "manufacturerLicensedAtMint": "Was the manufacturer licensed when it minted?",
    "hardwareLicensedAtMint": "Was the hardware licensed when it was minted?",
    "imeiValid": "Is the IMEI well-formed?",
    "imeiUnique": "Is the IMEI on no other device?",
    "serialUniqueForManufacturer": "Is the serial number on no other device of its manufacturer?",
    "addressUnique": "Did no other device hold its address at the same time?",
    "inCircuitTestPassed": "Did it pass its last in-circuit test?",
    "mechanicalTestPassed": "Did it pass its last mechanical test?",
    "qualityInspectionPassed": "Did it pass its last quality inspection?",
    "provisionedAfterQuality": "Was it inspected before it was provisioned?",
    "noActivityAfterEndOfLife": "Has it been quiet since its end of life?",
    "sanitizedBeforeDisposal": "Was it sanitized before its disposal?",
}
ORDER = ("FAIL", "UNKNOWN", "PASS", "NOT_APPLICABLE")


class Question(NamedTuple):
    """A question of an auditor with its answer, a Check of GraphQL's."""

    text: str
    check: Json


class Grant(NamedTuple):
    """A grant, and what to say about its end: `active`, `ends soon`, `ended` or `expired`."""

    row: Json
    state: str


def device_variables(visit: Visit) -> Json:
    return {"did": did_of(visit), **_history_page(visit)}


def did_of(visit: Visit) -> str:
    """Returns the DID in the path. Raises Problem."""
    did = visit.keys["did"]
    token = parse_did(did)
    if token is None or token.token_id >= 2**256 or token.chain_id >= 2**63:
        message = f"“{did[:200]}” is not the DID of a device. Example: {EXAMPLE}"
        search = WayOut("Search for it", visit.link("/search", q=did[:200]))
        raise Problem(400, "That is not the DID of a device", message, [search], did[:200])
    return did


def require_device(data: Json, visit: Visit) -> Json:
    """Returns the device of an answer. Raises Problem if there is none."""
    device: Json | None = data["device"]
    if device is not None:
        return device
    did = visit.keys["did"]
    if visit.as_of:
        way_out = WayOut("Show it now", visit.now_href)
        raise not_found(f"There was no device {did} at that point. It may have been minted later.", way_out, did)
    raise not_found(
        f"There is no device {did} in this register. It may be on a network that is not indexed here.", query=did
    )


def view(data: Json, visit: Visit) -> dict[str, Any]:
    device = require_device(data, visit)
    questions = [Question(text, device["provenance"][name]) for name, text in QUESTIONS.items()]
    verdicts = [question.check["verdict"] for question in questions]
    return {
        "device": device,
        "questions": sorted(questions, key=lambda question: ORDER.index(question.check["verdict"])),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in ORDER},
        "grants": [Grant(row, grant_state(row, visit)) for row in device["grants"]["nodes"]],
        "qr": qr_code(f"{visit.base_url}{visit.link(visit.path)}"),
        "tests": {
            "inCircuitTests": "In-circuit test",
            "mechanicalTests": "Mechanical test",
            "qualityInspections": "Quality inspection",
        },
    }


def grant_state(grant: Json, visit: Visit) -> str:
    """Returns whether a grant is `active`, `ends soon`, `ended` by an event, or `expired`, by the visit's clock."""
    if grant["revokedAt"]:
        return "ended"
    if grant["expiresAt"] is None:
        return "active"
    left = instant(grant["expiresAt"]) - visit.clock
    return "expired" if left <= timedelta() else "ends soon" if left <= SOON else "active"


def _history_page(visit: Visit) -> Json:
    return {"first": None, "last": None, "after": None, "before": None} | visit.page_of(EVENTS)


DEVICE = Page(path="/device/{did}", name="device", variables=device_variables, view=view)
