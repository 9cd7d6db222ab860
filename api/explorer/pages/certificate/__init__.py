"""`/device/{did}/certificate`: one printed page, as an auditor files it."""

from typing import Any

from api.explorer.page import Json, Page
from api.explorer.pages.device import ORDER, QUESTIONS, Question
from api.explorer.qr import qr_code
from api.explorer.tokens import did_of, grant_state, require_token
from api.explorer.visit import Visit


def certificate_variables(visit: Visit) -> Json:
    return {"did": did_of(visit)}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    device = require_token(data["device"], visit)
    href = f"{visit.base_url}{visit.link('/device/' + device['tokenDID'])}"
    return {
        "device": device,
        "questions": [Question(text, device["provenance"][name]) for name, text in QUESTIONS.items()],
        "verdicts": {
            verdict: sum(check["verdict"] == verdict for check in device["provenance"].values()) for verdict in ORDER
        },
        "grants": [
            grant for grant in device["grants"]["nodes"] if grant_state(grant, visit) in ("active", "ends soon")
        ],
        "href": href,
        "qr": qr_code(href),
    }


CERTIFICATE = Page(path="/device/{did}/certificate", name="certificate", variables=certificate_variables, view=view)
