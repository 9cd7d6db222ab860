"""The shared part of the reports: their filters, their pages, and the addresses of the same rows as files."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from api.explorer.downloads import file_links
from api.explorer.filters import Filters, conditions_set, filter_of, first_second, last_second
from api.explorer.page import Json, Page
from api.explorer.visit import Visit

ROWS_ON_A_PAGE = 100

OF_DEVICES: Filters = {
    "owner": lambda text: {"device": {"owner": {"eq": text}}},
    "manufacturer": lambda text: {"device": {"manufacturerId": {"eq": text}}},
    "device": lambda text: {"device": {"anyKey": text}},
}
RECORDED: Filters = {
    "from": lambda text: {"recordTime": {"gte": first_second(text)}},
    "to": lambda text: {"recordTime": {"lte": last_second(text)}},
}
TITLES = {"from": "from", "to": "until"}
"""The words of the parameters that do not read well."""


class Report(NamedTuple):
    """A report: the export with its rows, its text, and what an auditor expects and no chain records.

    `standard` is the document that requires it. `constants` are parameters of the export besides its filter.
    """

    path: str
    table: str
    title: str
    standard: str
    lead: str
    filters: Filters
    not_recorded: Sequence[str]
    constants: Mapping[str, str] = {}

    def variables(self, visit: Visit) -> Json:
        """Returns the variables of the page's document."""
        filter = filter_of(self.filters, visit)
        return {**({"filterBy": filter} if filter else {}), **visit.page_of(ROWS_ON_A_PAGE)}

    def view(self, data: Json, visit: Visit) -> Json:
        """Returns what the template shows besides the rows."""
        return {
            "report": self,
            "conditions": conditions_set(self.filters, visit, TITLES, {}),
            "files": file_links(visit, self.table, filter=filter_of(self.filters, visit), **self.constants),
        }

    def page(self, name: str) -> Page:
        return Page(path=self.path, name=name, variables=self.variables, view=self.view)


OLDEST_FIRST = json.dumps({"field": "POSITION", "direction": "ASC"})

SOFTWARE_UPDATES = Report(
    path="/reports/software-updates",
    table="software-updates",
    title="Software update register",
    standard="UNECE R156, 7.1.2",
    lead="Every attempt to update the firmware of a device over the air, with the versions before and after, the hash "
    "of the image and the result.",
    filters={**OF_DEVICES, **RECORDED},
    not_recorded=(
        "RXSWIN and type-approved parameters",
        "Purpose of the update",
        "Systems that the update affects",
        "Compatibility of the configuration before the update",
        "Confirmation of verification and validation",
    ),
    constants={"orderBy": OLDEST_FIRST},
)
SANITIZATIONS = Report(
    path="/reports/sanitizations",
    table="sanitizations",
    title="Statement of sanitization and disposal",
    standard="NIST SP 800-88, certificate of sanitization",
    lead="Every step of the end of life of a device: how its data were sanitized, when, where, and the hash of the "
    "evidence.",
    filters={**OF_DEVICES, **RECORDED},
    not_recorded=(
        "Type and source of the media",
        "Confidentiality of the data before and after",
        "Tool and its version",
        "Method of verification",
        "Person who sanitized: name, position, signature",
        "Person who verified: name, position, signature",
        "Destination of the media",
    ),
    constants={"orderBy": OLDEST_FIRST},
)
ACCESS = Report(
    path="/reports/access",
    table="authorizations",
    title="Authorization register",
    standard="Who could access what, and when",
    lead="Every grant of access to a device, a vehicle or another subject: to whom, by which grant system, from when, "
    "and until when. A period selects the grants that were in force at any time in it. The owner always has access and "
    "is not listed.",
    filters={
        **OF_DEVICES,
        "owner": lambda text: {
            "or": [
                {"device": {"owner": {"eq": text}}},
                {"vehicle": {"owner": {"eq": text}}},
                {"grantor": {"eq": text}},
            ]
        },
        "user": lambda text: {"user": {"eq": text}},
        "from": lambda text: {
            "not": {"or": [{"revokedAt": {"lt": first_second(text)}}, {"expiresAt": {"lte": first_second(text)}}]}
        },
        "to": lambda text: {"grantedAt": {"lte": last_second(text)}},
    },
    not_recorded=(
        "Identity of the user: the organization is what the grantor wrote",
        "Use of the access",
        "Purpose of the access",
    ),
    constants={"scope": "ALL"},
)
LICENSES = Report(
    path="/reports/licenses",
    table="licenses",
    title="License register",
    standard="Manufacturing licenses and hardware device licenses",
    lead="The licenses of manufacturers and of hardware: their terms and status, and every grant, renewal and "
    "revocation.",
    filters={"owner": lambda text: {"manufacturerOwner": {"eq": text}}, **RECORDED},
    not_recorded=(
        "Text of the licenses: the chain has their addresses and hashes",
        "Authority behind the registrar",
    ),
    constants={"orderBy": OLDEST_FIRST},
)
REPORTS = (SOFTWARE_UPDATES, SANITIZATIONS, ACCESS, LICENSES)
