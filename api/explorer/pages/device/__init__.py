"""`/device/{did}`: the certificate of a device, its history, and how far each can be trusted."""

from typing import Any, NamedTuple

from api.explorer.page import Json, Page
from api.explorer.qr import qr_code
from api.explorer.tokens import did_of, grants_of, history_page, require_token
from api.explorer.visit import Visit

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


def device_variables(visit: Visit) -> Json:
    return {"did": did_of(visit), **history_page(visit)}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    device = require_token(data["device"], visit)
    questions = [Question(text, device["provenance"][name]) for name, text in QUESTIONS.items()]
    verdicts = [question.check["verdict"] for question in questions]
    return {
        "device": device,
        "questions": sorted(questions, key=lambda question: ORDER.index(question.check["verdict"])),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in ORDER},
        "grants": grants_of(device, visit),
        "qr": qr_code(f"{visit.base_url}{visit.link(visit.path)}"),
        "tests": {
            "inCircuitTests": "In-circuit test",
            "mechanicalTests": "Mechanical test",
            "qualityInspections": "Quality inspection",
        },
    }


DEVICE = Page(path="/device/{did}", name="device", variables=device_variables, view=view)
