"""`/audit`: an auditor's questions about the whole register, each with its count, its list and its query."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from api.explorer.documents import graphiql_address
from api.explorer.downloads import FileLink, file_links
from api.explorer.page import Json, Page
from api.explorer.visit import Visit

REMOVED_ON_A_PAGE = 10


class Question(NamedTuple):
    """A question. `condition` is the filter of what fails it, `check` the name of the check that devices fail."""

    name: str
    text: str
    rule: str
    condition: Json
    check: str | None = None


def _of_devices(name: str, text: str, rule: str, check: str) -> Question:
    return Question(name, text, rule, {check: {"eq": "FAIL"}}, check)


QUESTIONS = (
    _of_devices(
        "unlicensed",
        "Were devices minted without a manufacturer license?",
        "The license of the manufacturer was revoked, expired or never granted at the mint.",
        "manufacturerLicensedAtMint",
    ),
    _of_devices(
        "unlicensedHardware",
        "Were devices minted without a hardware license?",
        "The hardware license was not valid at the mint, or belonged to another manufacturer.",
        "hardwareLicensedAtMint",
    ),
    _of_devices(
        "duplicateImei",
        "Do devices share an IMEI?",
        "Another device of the contract that is not burned has the same IMEI.",
        "imeiUnique",
    ),
    _of_devices(
        "duplicateSerial",
        "Do devices of one manufacturer share a serial number?",
        "Another device of the manufacturer has the same serial number.",
        "serialUniqueForManufacturer",
    ),
    _of_devices(
        "malformedImei",
        "Are there malformed IMEIs?",
        "The IMEI does not have 15 digits with a correct check digit.",
        "imeiValid",
    ),
    _of_devices(
        "uninspected",
        "Were devices provisioned before they were inspected?",
        "No quality inspection had passed when the device was provisioned.",
        "provisionedAfterQuality",
    ),
    _of_devices(
        "activeAfterEnd",
        "Were devices active after their end of life?",
        "Something was recorded about the device after it was decommissioned, recycled or disposed of.",
        "noActivityAfterEndOfLife",
    ),
    _of_devices(
        "unsanitized",
        "Were devices disposed of with their data?",
        "The device was recycled or disposed of, and no step had sanitized it.",
        "sanitizedBeforeDisposal",
    ),
    Question(
        "undecodable",
        "Are there logs that cannot be decoded?",
        "A rule of the profile matches the log, but its bytes do not fit. It is stored, and changes nothing.",
        {"kind": {"eq": "UNDECODABLE"}},
    ),
)

DEVICES = """# {text}
query Audit($filterBy: DeviceFilter, $after: String, $asOf: AsOf) {{
  devices(filterBy: $filterBy, first: 100, after: $after, asOf: $asOf) {{
    totalCount
    pageInfo {{ hasNextPage endCursor }}
    nodes {{
      tokenDID serialNumber
      provenance {{ {check} {{ verdict reason evidence {{ transactionHash logIndex }} }} }}
    }}
  }}
}}
"""
LOGS = """# {text}
query Audit($filterBy: LifecycleEventFilter, $after: String, $asOf: AsOf) {{
  lifecycleEvents(filterBy: $filterBy, first: 100, after: $after, asOf: $asOf) {{
    totalCount
    pageInfo {{ hasNextPage endCursor }}
    nodes {{
      block {{ number hash }} transactionHash logIndex contract raw {{ topics data }}
      ... on UndecodableEvent {{ reason }}
    }}
  }}
}}
"""


class Finding(NamedTuple):
    """The answer to a question: how many fail it, the list of them, the query with evidence, and the list as files."""

    question: Question
    total: int
    list_href: str
    query_href: str
    files: Sequence[FileLink]


def audit_variables(visit: Visit) -> Json:
    return visit.page_of(REMOVED_ON_A_PAGE, "removed")


def view(data: Json, visit: Visit) -> dict[str, Any]:
    return {"findings": [_finding(question, data, visit) for question in QUESTIONS], "removed": data["removed"]}


def _finding(question: Question, data: Json, visit: Visit) -> Finding:
    document = (DEVICES if question.check else LOGS).format(text=question.text, check=question.check)
    variables = {"filterBy": question.condition, "asOf": visit.as_of and visit.as_of.variable}
    fails = {"fails": question.check} if question.check else {"kind": "UNDECODABLE"}
    href = visit.link("/devices" if question.check else "/events", **fails)
    files = file_links(visit, "devices" if question.check else "events", filter=question.condition)
    return Finding(question, data[question.name]["totalCount"], href, graphiql_address(document, variables), files)


AUDIT = Page(path="/audit", name="audit", variables=audit_variables, view=view, counts_register=True)
