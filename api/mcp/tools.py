"""The tools, in the order in which they are listed. A tool is the arguments of a call, and the answer to it.

Agents read the docstring of a tool, and the descriptions of its arguments. Each answer is made of one GraphQL document
of `documents/`, and has the names of its fields.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import quote

from msgspec import Meta, Struct

from api.explorer.documents import load_document
from api.explorer.pages.status import STATUS, state_of
from api.graphql.errors import BadUserInput
from api.graphql.request import GraphQLRequest
from api.http.as_of import as_of_variable
from api.mcp.fitting import MAX_BYTES, Answer, Json, size_of, write_json

FOLDER = Path(__file__).parent / "documents"
QUERY_BYTES = 100_000
"""Of the document of run_query. The limits of GraphQL apply too."""

Filter = Annotated[
    dict[str, Any],
    Meta(
        description='GraphQL DeviceFilter, for example {"owner":{"eq":"0x…"}}, '
        '{"firmware":{"version":{"lt":"2.0.0"}}}, {"endOfLifeStatus":{"eq":"IN_SERVICE"}}, '
        '{"manufacturerId":{"eq":"1"}}, '
        '{"qualityInspection":{"eq":"FAIL"}}, {"authorizedUser":{"user":{"eq":"0x…"}}}; combine with and, or, not.'
    ),
]
Did = Annotated[str, Meta(description="did:erc721:<chainId>:<contract>:<tokenId>", max_length=200)]
AsOf = Annotated[
    str, Meta(description="A past point: date, RFC 3339 time, block number or block hash.", max_length=100)
]
First = Annotated[int, Meta(description="Rows of a page.", ge=1, le=50)]
After = Annotated[str, Meta(description="`next` of the page before.", max_length=2000)]


class ToolError(Exception):
    """A call that is refused. The message states what to send instead."""


class Caller(Protocol):
    """Who calls a tool. `base_url` is the address at which the caller reaches this service."""

    base_url: str

    async def ask(self, document: str, variables: Mapping[str, Any]) -> Json:
        """Returns the response to one of our documents. Raises ToolError if it has errors."""

    async def execute(self, request: GraphQLRequest) -> Json:
        """Returns the response to a document of the caller's. Raises ToolError if the document is not allowed."""


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a call."""

    async def answer(self, caller: Caller) -> str:
        """Returns the text of the answer. Raises ToolError."""
        text = (await self.result(caller)).write()
        if text is None:
            raise ToolError(
                f"The answer has more than {MAX_BYTES} bytes even if it is cut: use run_query with fewer fields."
            )
        return text

    async def result(self, caller: Caller) -> Answer:
        raise NotImplementedError


class FindDevice(Tool, frozen=True):
    """Finds devices by one key: DID, token id, address (present or former), serial number, IMEI or DevEUI."""

    key: Annotated[str, Meta(description="The key, whole.", min_length=1, max_length=500)]
    after: After = ""

    async def result(self, caller: Caller) -> Answer:
        variables = {"filter": {"anyKey": self.key}, "first": 20, "after": self.after or None}
        return await _devices(caller, variables, "")


class GetDevice(Tool, frozen=True):
    """Returns the certificate of a device: identity, owner, manufacturer and licenses, tests, firmware, users with
    access, factory resets, end of life. Each list has its newest rows."""

    did: Did
    asOf: AsOf = ""

    async def result(self, caller: Caller) -> Answer:
        device = await _device(caller, "device", self.did, self.asOf)
        return Answer(head={"asOf": [device.pop("asOf")], **device})


class DeviceHistory(Tool, frozen=True):
    """Returns the events of a device, newest first, each with its block, transaction and level of verification."""

    did: Did
    kinds: Annotated[
        tuple[str, ...],
        Meta(
            description="Only these kinds: DEVICE_MINTED, DEVICE_TRANSFERRED, TEST_RECORDED, DEVICE_PROVISIONED, "
            "USER_AUTHORIZED, USER_REVOKED, FIRMWARE_UPDATED, FACTORY_RESET, END_OF_LIFE_RECORDED, DEVICE_BURNED, …",
            max_length=40,
        ),
    ] = ()
    oldestFirst: bool = False
    first: First = 20
    after: After = ""
    asOf: AsOf = ""

    async def result(self, caller: Caller) -> Answer:
        variables = {
            "filter": {"kind": {"in": list(self.kinds)}} if self.kinds else None,
            "orderBy": {"field": "POSITION", "direction": "ASC" if self.oldestFirst else "DESC"},
            "first": self.first,
            "after": self.after or None,
        }
        device = await _device(caller, "history", self.did, self.asOf, variables)
        return _page({"asOf": [device["asOf"]], "tokenDID": device["tokenDID"]}, "events", device["history"])


class ListDevices(Tool, frozen=True):
    """Lists the devices that match a filter, with the total."""

    filter: Filter = {}
    orderBy: Annotated[
        str,
        Meta(
            description="MINTED_AT, TOKEN_ID, SERIAL_NUMBER, MANUFACTURED_AT or LAST_UPDATED_AT.",
            max_length=40,
        ),
    ] = "MINTED_AT"
    ascending: bool = False
    first: First = 20
    after: After = ""
    asOf: AsOf = ""

    async def result(self, caller: Caller) -> Answer:
        order = {"field": self.orderBy, "direction": "ASC" if self.ascending else "DESC"}
        variables = {"filter": self.filter or None, "orderBy": order, "first": self.first, "after": self.after or None}
        return await _devices(caller, variables, self.asOf)


class FleetReport(Tool, frozen=True):
    """Counts the devices that match a filter, grouped by up to three properties."""

    groupBy: Annotated[
        tuple[str, ...],
        Meta(
            description="MODEL, MANUFACTURER, HARDWARE_LICENSE, FIRMWARE, OWNER, END_OF_LIFE_STATUS, MINTED_MONTH, "
            "QUALITY_INSPECTION, CHAIN or CONTRACT.",
            min_length=1,
            max_length=3,
        ),
    ] = ("END_OF_LIFE_STATUS",)
    filter: Filter = {}
    failures: Annotated[bool, Meta(description="Also count tests and firmware updates, and those that failed.")] = False
    skip: Annotated[int, Meta(description="`next` of the page before.", ge=0, le=10**6)] = 0
    asOf: AsOf = ""

    async def result(self, caller: Caller) -> Answer:
        variables = {"groupBy": list(self.groupBy), "filter": self.filter or None, "failures": self.failures}
        response = await caller.ask(document_of("fleet"), variables | _point(self.asOf))
        groups = [
            {**{key["dimension"]: key["value"] for key in group["keys"]}, "count": group["count"]}
            for group in response["data"]["deviceStatistics"]
        ]
        head = {**_blocks(response, [], self.asOf), "devices": sum(group["count"] for group in groups)}
        if self.failures:
            head["failures"] = _failures(response["data"]["failureStatistics"])
        rows = groups[self.skip :]
        cursors = range(self.skip + 1, len(groups) + 1)
        return Answer(head={**head, "totalCount": len(groups)}, name="groups", rows=rows, cursors=cursors)


class VerifyDevice(Tool, frozen=True):
    """Answers what an auditor asks of a device, each with verdict, reason and events: licenses at the mint, valid and
    unique IMEI, tests, provisioning, sanitization. Says how many events are proven, and where to get the bundle that
    anybody can check offline."""

    did: Did
    asOf: AsOf = ""

    async def result(self, caller: Caller) -> Answer:
        device = await _device(caller, "verification", self.did, self.asOf)
        address = f"{caller.base_url}/devices/{quote(device['tokenDID'], safe=':')}/bundle.json"
        head = {
            "asOf": [device["asOf"]],
            "tokenDID": device["tokenDID"],
            "provenance": device["provenance"],
            **{name: device[name]["totalCount"] for name in ("events", "proven", "flagged")},
            "bundle": {"url": address, "check": "certindex check FILE"},
        }
        return Answer(head=head)


class ExplainStatus(Tool, frozen=True):
    """Explains how complete, fresh, final and well verified the register is, and what fails, network by network."""

    async def result(self, caller: Caller) -> Answer:
        response = await caller.ask(STATUS.document, {})
        networks = response["data"]["_meta"]["chains"]
        explained = [{"chainId": network["chainId"], "explanation": _explain(network)} for network in networks]
        head = {**_blocks(response, [], ""), "networks": explained}
        if not networks:
            head["explanation"] = "Nothing is indexed here yet."
        return Answer(head=head)


class RunQuery(Tool, frozen=True):
    """Runs a read-only GraphQL query. Use it for what the other tools do not return: manufacturers, hardware licenses,
    authorizations, events of the whole register, changes, proofs. Learn the types by introspection, one at a time:
    {__type(name:"Query"){fields{name args{name type{name ofType{name}}}}}}."""

    query: Annotated[str, Meta(description="The document.", max_length=QUERY_BYTES)] = ""
    documentId: Annotated[
        str, Meta(description="Id of a trusted document, where only these are executed.", max_length=500)
    ] = ""
    variables: dict[str, Any] = {}
    operationName: Annotated[str, Meta(max_length=200)] = ""

    async def answer(self, caller: Caller) -> str:
        if not (self.query or self.documentId):
            raise ToolError('query is missing. Example: {"query":"{devices(first:1){totalCount}}"}')
        request = GraphQLRequest(
            self.query, self.variables, self.operationName or None, document_id=self.documentId or None
        )
        text = write_json(await caller.execute(request))
        if (size := size_of(text)) > MAX_BYTES:
            raise ToolError(
                f"The answer has {size} bytes, and {MAX_BYTES} is the maximum: select fewer fields or a smaller page."
            )
        return text


TOOLS: Mapping[str, type[Tool]] = {
    "find_device": FindDevice,
    "get_device": GetDevice,
    "device_history": DeviceHistory,
    "list_devices": ListDevices,
    "fleet_report": FleetReport,
    "verify_device": VerifyDevice,
    "explain_status": ExplainStatus,
    "run_query": RunQuery,
}


@cache
def document_of(name: str) -> str:
    """Returns a document of `documents/`, with the fragments that it names."""
    return load_document(FOLDER / f"{name}.graphql")


def _point(as_of: str) -> Json:
    """Returns the variable `asOf`. Raises ToolError."""
    try:
        return {"asOf": as_of_variable(as_of)}
    except BadUserInput as error:
        raise ToolError(str(error)) from None


def _blocks(response: Json, rows: list[Json], as_of: str) -> Json:
    """Returns the blocks that an answer was read at: those of its rows, else the newest ones."""
    blocks = {str(row["asOf"]): row.pop("asOf") for row in rows}
    requested = {"requestedAsOf": as_of} if as_of else {}
    return {"asOf": list(blocks.values()) or response["extensions"]["asOf"], **requested}


async def _devices(caller: Caller, variables: Json, as_of: str) -> Answer:
    response = await caller.ask(document_of("devices"), variables | _point(as_of))
    devices = response["data"]["devices"]
    return _page(_blocks(response, [edge["node"] for edge in devices["edges"]], as_of), "devices", devices)


async def _device(caller: Caller, document: str, did: str, as_of: str, variables: Json | None = None) -> Json:
    """Returns the device of a document. Raises ToolError if there is none."""
    response = await caller.ask(document_of(document), {"did": did, **(variables or {}), **_point(as_of)})
    device: Json | None = response["data"]["device"]
    if device is None:
        raise ToolError(
            f"There is no device {did} in this register{' at that point' if as_of else ''}: find_device finds devices "
            "by any key."
        )
    return device


def _page(head: Json, name: str, connection: Json) -> Answer:
    return Answer(
        head={**head, "totalCount": connection["totalCount"]},
        name=name,
        rows=[edge["node"] for edge in connection["edges"]],
        cursors=[edge["cursor"] for edge in connection["edges"]],
        more=connection["pageInfo"]["hasNextPage"],
    )


def _failures(months: list[Json]) -> list[Json]:
    """Returns the activities with their number and failures, of all months together."""
    totals: dict[str, Json] = {}
    for month in months:
        total = totals.setdefault(month["activity"], {"activity": month["activity"], "count": 0, "failed": 0})
        total["count"] += month["count"]
        total["failed"] += month["failed"]
    return list(totals.values())


def _explain(network: Json) -> list[str]:
    """Returns the state of a network in sentences."""
    state, _ = state_of(network)
    sentences = [f"{state}."]
    if indexed := network["indexed"]:
        sentences.append(f"Answers are of block {indexed['number']}, which is of {indexed['timestamp']}.")
    if network["lagSeconds"]:
        sentences.append(f"The chain is {network['lagSeconds']} s and {network['lagBlocks']} blocks further.")
    if final := network["finalized"]:
        sentences.append(f"Blocks up to {final['number']} are final; a reorg may remove later ones.")
    else:
        sentences.append("No block is known to be final: a reorg may remove any.")
    if through := network["verifiedThrough"]:
        sentences.append(f"All blocks with events up to {through} are verified against their receipts.")
    else:
        sentences.append("No block is verified against its receipts yet.")
    for name, meaning in COUNTED.items():
        if int(network[name]):
            sentences.append(f"{network[name]} {meaning}.")
    if network["rebuildDue"]:
        sentences.append(
            "A rebuild is due: the profile of this release reads more of the events than the stored profile does. The "
            "answers lack what it adds until the operator runs certindex rebuild."
        )
    if network["failingSince"]:
        sentences.append(f"Indexing has failed since {network['failingSince']}, at block {network['failingBlock']}.")
    if network["lastError"]:
        sentences.append(f"The last error: {network['lastError']}")
    return sentences


COUNTED = {
    "undecodableEvents": "logs match a rule and cannot be decoded",
    "disagreements": "block ranges have logs on which providers disagree",
    "orphanedBlocks": "blocks were removed by reorgs",
}
