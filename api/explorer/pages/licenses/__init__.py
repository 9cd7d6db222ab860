"""`/reports/licenses`: the register of licenses: as they are at a point, and every grant and revocation."""

from api.explorer.page import Json, Page
from api.explorer.reports import LICENSES
from api.explorer.visit import Visit

LICENSES_ON_A_PAGE = 100
KINDS = (
    *("MANUFACTURER_LICENSED", "MANUFACTURER_LICENSE_REVOKED", "HARDWARE_LICENSED", "HARDWARE_LICENSE_REVOKED"),
    *("LICENSE_MINTED", "LICENSE_TRANSFERRED", "LICENSE_REVOKED"),
)


def licenses_variables(visit: Visit) -> Json:
    variables = LICENSES.variables(visit)
    owner = visit.parameter("owner")
    return {
        **variables,
        "filterBy": {"kind": {"in": KINDS}, **variables.get("filterBy", {})},
        **({"makers": {"owner": {"eq": owner}}, "models": {"manufacturerOwner": {"eq": owner}}} if owner else {}),
        "size": LICENSES_ON_A_PAGE,
        "makersAfter": visit.parameter("makers-after") or None,
        "modelsAfter": visit.parameter("models-after") or None,
    }


LICENSES_PAGE = Page(path=LICENSES.path, name="licenses", variables=licenses_variables, view=LICENSES.view)
