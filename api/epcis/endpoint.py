"""`/epcis`: answers requests of the EPCIS 2.0 REST binding that read events.

/epcis/events                    events that pass the query parameters
/epcis/events/{eventID}          one event
/epcis/epcs/{did}/events         the events of one device
/epcis/context.jsonld            the JSON-LD context of our own names
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from api.epcis.event_ids import EVENT_ID
from api.epcis.events import recorded_event, removed_event
from api.epcis.parameters import MAX_PER_PAGE, Query, parse_query, require_epc
from api.epcis.problems import FAILED, Problem, bad_parameter, no_such_resource, not_acceptable, problem_of
from api.epcis.vocabulary import CONTEXT, context_document
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.http.disconnects import Endpoint, while_connected
from api.http.graphql_client import GraphQLClient
from api.http.responses import revalidated
from api.settings import Settings
from schema.times import utc_text

log = logging.getLogger("certindex.api")

Json = dict[str, Any]

FOLDER = Path(__file__).parent

VERSION = "2.0.0"
VERSIONS = {"GS1-EPCIS-Version": VERSION, "GS1-CBV-Version": VERSION}
RANGES = {f"GS1-{standard}-{end}": VERSION for standard in ("EPCIS", "CBV") for end in ("Min", "Max")}

READABLE = ("*/*", "application/*", "application/json", "application/ld+json")
"""The media types of a client that reads JSON."""

SEARCHED = 1_000
"""Events that are compared with an id, the newest first. No table has ids: they follow from the events."""

RECORDED, REMOVED = "e", "r"
"""How a token begins that continues among recorded or among removed events."""


def _document(name: str) -> str:
    return f"{(FOLDER / f'{name}.graphql').read_text('utf-8')}\n{FIELDS}"


FIELDS = (FOLDER / "fields.graphql").read_text("utf-8")
RECORDED_DOCUMENT, REMOVED_DOCUMENT = _document("recorded"), _document("removed")
DEVICE_DOCUMENT = (FOLDER / "device.graphql").read_text("utf-8")


class EventPage(NamedTuple):
    """A page of EPCIS events; `token` continues after it, "" after the last one. `blocks` are those it is read at."""

    events: Sequence[Json]
    token: str
    blocks: Sequence[Json]


class EpcisEndpoint(Endpoint):
    """An ASGI application: the resources of an EPCIS repository that only answers queries."""

    def __init__(self, client: GraphQLClient, settings: Settings) -> None:
        self._client = client
        self._base_url = settings.base_url
        self._max_cost = settings.max_cost

    async def respond(self, request: Request) -> ASGIApp:
        try:
            return await self._answer(request)
        except ClientDisconnect:
            raise
        except Refusal as refusal:
            problem = problem_of({"message": str(refusal), "extensions": refusal.extensions})
        except Problem as raised:
            problem = raised
        except Exception:
            log.exception("an EPCIS request failed")
            problem = FAILED
        return problem.response(VERSIONS)

    async def _answer(self, request: Request) -> ASGIApp:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**VERSIONS, **RANGES, "Allow": "GET, HEAD, OPTIONS"})
        if request.method not in ("GET", "HEAD"):
            detail = f"{request.method} is not answered: events are captured from the chain alone."
            raise Problem(405, "about:blank", "Send GET", detail, {"Allow": "GET, HEAD, OPTIONS"})
        self._client.count(request.scope)
        path = str(request.path_params.get("path", "")).strip("/")
        if path == "context.jsonld":
            response = JSONResponse(context_document(), media_type="application/ld+json", headers=VERSIONS)
            return revalidated(request, response)
        check_acceptable(request.headers)
        async with while_connected(request):
            return await self._events(request, path)

    async def _events(self, request: Request, path: str) -> Response:
        if path == "events":
            query = parse_query(request.query_params, self._max_cost)
            return self._response(request, await self._page(request, query))
        if path.startswith("events/"):
            return self._response(request, await self._named(request, path.removeprefix("events/")))
        if path.startswith("epcs/") and path.endswith("/events"):
            return await self._of_device(request, path.removeprefix("epcs/").removesuffix("/events"))
        missing = f'There is no resource "{path[:120]}" here.' if path else "This is the address above all resources."
        raise no_such_resource(f"{missing} Resources: events, events/{{eventID}}, epcs/{{epc}}/events, context.jsonld.")

    async def _of_device(self, request: Request, did: str) -> Response:
        require_epc("The EPC", did)
        query = parse_query(request.query_params, self._max_cost, did)
        page = await self._page(request, query)
        if not (page.events or page.token or query.token):
            device = (await self._ask(request, DEVICE_DOCUMENT, {"did": did}))["data"]["device"]
            if device is None:
                raise no_such_resource(f"There is no device {did}.")
        return self._response(request, page)

    async def _named(self, request: Request, id: str) -> EventPage:
        """Returns the page with the event of an id. Raises Problem if it is not among those that are searched."""
        if not EVENT_ID.fullmatch(id):
            form = "ni:///sha-256;<64 hex digits>?ver=CBV2.0, percent-encoded"
            raise no_such_resource(f'"{id[:120]}" is no id of an event here. Ids have the form {form}.')
        query = parse_query(QueryParams({"perPage": str(MAX_PER_PAGE), **request.query_params}), self._max_cost)
        searched = 0
        while searched < SEARCHED:
            page = await self._page(request, query, newest_first=True)
            for event in page.events:
                if event["eventID"] == id:
                    return EventPage([event], "", page.blocks)
            searched += query.per_page
            if not page.token:
                break
            query = query._replace(token=page.token)
        hint = "Search elsewhere with MATCH_epc, GE_recordTime or LT_recordTime."
        raise no_such_resource(
            f"No event with this id is among the newest {SEARCHED:,} that pass the parameters. {hint}"
        )

    # Pages

    async def _page(self, request: Request, query: Query, *, newest_first: bool = False) -> EventPage:
        if query.token[:1] not in ("", RECORDED, REMOVED):
            raise bad_parameter("nextPageToken is no token: take it from the header Link of the page before.")
        after = query.token[1:] or None
        if query.token.startswith(REMOVED):
            return await self._removed(request, query, after)
        return await self._recorded(request, query, after, newest_first=newest_first)

    async def _recorded(self, request: Request, query: Query, after: str | None, *, newest_first: bool) -> EventPage:
        variables = {
            "filterBy": query.filter,
            "removed": query.removed,
            "direction": "DESC" if newest_first else "ASC",
            "first": query.per_page,
            "after": after,
        }
        answer = await self._ask(request, RECORDED_DOCUMENT, variables)
        listed = answer["data"]["lifecycleEvents"]
        removed = [row for row in answer["data"]["orphanedEvents"]["nodes"] if not _is_before(row, query)]
        token = f"{RECORDED}{listed['pageInfo']['endCursor']}" if listed["pageInfo"]["hasNextPage"] else ""
        events = filter(query.selects, map(recorded_event, listed["nodes"]))
        return EventPage(list(events), token or (REMOVED if removed else ""), answer["extensions"]["asOf"])

    async def _removed(self, request: Request, query: Query, after: str | None) -> EventPage:
        variables = {"removed": query.removed, "first": query.per_page, "after": after}
        answer = await self._ask(request, REMOVED_DOCUMENT, variables)
        listed = answer["data"]["orphanedEvents"]
        rows = [row for row in listed["nodes"] if query.recorded.includes(_moment(row["orphanedAt"]))]
        is_last = not listed["pageInfo"]["hasNextPage"] or any(_is_before(row, query) for row in listed["nodes"])
        token = "" if is_last else f"{REMOVED}{listed['pageInfo']['endCursor']}"
        events = filter(query.selects, map(removed_event, rows))
        return EventPage(list(events), token, answer["extensions"]["asOf"])

    async def _ask(self, request: Request, document: str, variables: Mapping[str, Any]) -> Json:
        charge = self._client.charge(request.scope)
        answer = await self._client.execute(GraphQLRequest(document, dict(variables)), charge)
        if "errors" in answer:
            raise problem_of(answer["errors"][0])
        return answer

    # Responses

    def _response(self, request: Request, page: EventPage) -> Response:
        headers = dict(VERSIONS)
        if page.blocks:
            headers["As-Of"] = ", ".join(
                f"chain={block['chainId']}; block={block['number']}; hash={block['hash']}" for block in page.blocks
            )
        if page.token:
            headers["Link"] = f'<{self._next(request, page.token)}>; rel="next"'
        body = query_document(page.events, page.blocks)
        return revalidated(request, JSONResponse(body, headers=headers, media_type="application/ld+json"))

    def _next(self, request: Request, token: str) -> str:
        base = self._base_url or str(request.base_url).rstrip("/")
        kept = [(name, text) for name, text in request.query_params.multi_items() if name != "nextPageToken"]
        return f"{base}{quote(request.url.path, safe='/:')}?{urlencode([*kept, ('nextPageToken', token)])}"


def query_document(events: Sequence[Json], blocks: Sequence[Json]) -> Json:
    """Returns the EPCIS query document with events. Its date is that of the newest block that it is read at."""
    created = max((block["timestamp"] for block in blocks), default=None)
    return {
        "@context": CONTEXT,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": created or utc_text(datetime.now(UTC).replace(microsecond=0)),
        "epcisBody": {"queryResults": {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": list(events)}}},
    }


def check_acceptable(headers: Mapping[str, str]) -> None:
    """Raises Problem for a client that reads no JSON, or no EPCIS 2.0."""
    accepted = [part.partition(";")[0].strip().lower() for part in headers.get("accept", "*/*").split(",")]
    if not any(media_type in READABLE for media_type in accepted):
        raise not_acceptable(f"Accept is {headers['accept'][:120]}: events are JSON-LD (application/ld+json).")
    for name in RANGES:
        text = headers.get(name, VERSION)
        version = tuple(int(part) if part.isascii() and part.isdigit() else -1 for part in text.split(".")[:3])
        ours = tuple(map(int, VERSION.split(".")))[: len(version)]
        if -1 in version or (version > ours if name.endswith("Min") else version < ours):
            raise not_acceptable(f"{name} is {text[:40]}: this service has version {VERSION}.")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _is_before(row: Json, query: Query) -> bool:
    """Whether an event was removed before the record times of a query. The list has the latest first."""
    return query.recorded.start is not None and _moment(row["orphanedAt"]) < query.recorded.start
