"""Reads HTTP requests: the GraphQL request, and the media type of the response.

Follows the draft "GraphQL over HTTP" of the GraphQL Foundation. Every refusal has a status below 500, and its message
says what to send instead.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from starlette.requests import ClientDisconnect, Request

from api.graphql.errors import BadUserInput, Code
from api.graphql.inputs.min_block import HEADER, parse_min_block
from api.graphql.request import GraphQLRequest

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
HTML = "text/html"
EVENT_STREAM = "text/event-stream"

BODY_SECONDS = 30.0
"""How long a client may take to send the whole body."""

MAX_NESTING = 64
"""Levels of the request's JSON. Filters nest four deep; thousands of levels would exhaust the stack of a parser."""

MAX_HEADERS = 64
"""Values of a header whose meaning is kept: clients send the same one with each request."""

MISSING = '"query" is missing. Example: {"query": "{ _meta { version } }"}'


@dataclass
class RequestError(Exception):
    """An HTTP request that is not a valid GraphQL request."""

    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    code: Code = Code.BAD_REQUEST

    def __str__(self) -> str:
        return self.message


async def read_request(request: Request, max_body_bytes: int) -> GraphQLRequest:
    """Returns the GraphQL request of a GET or POST. Raises RequestError, BadUserInput."""
    if request.method != "POST":
        graphql = graphql_request(_from_url(request))
    else:
        _check_content_type(request.headers.get("content-type", ""))
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            message = "Content-Encoding is not supported: send the body uncompressed."
            raise RequestError(415, message, {"Accept-Encoding": "identity"})
        graphql = graphql_request(parse_json(await read_body(request, max_body_bytes), "The body"))
    if not (graphql.query or graphql.hash or graphql.document_id):
        raise RequestError(400, MISSING)
    text = request.headers.get(HEADER)
    return graphql if text is None else replace(graphql, min_block=parse_min_block(text))


def refuse_parameters(request: Request) -> None:
    """Raises RequestError if the URL has a query: the address answers as of the newest indexed block alone."""
    for name in request.query_params:
        message = (
            f'There is no parameter "{name[:80]}" here: the answer is as of the newest indexed block. Leave it out.'
        )
        raise RequestError(400, message)


def response_type(request: Request, offers: tuple[str, ...]) -> str:
    """Returns the media type of the offers that the Accept header prefers. Raises RequestError (406) for none."""
    # without the header, any media type is accepted
    return _preferred(",".join(request.headers.getlist("accept")).strip() or "*/*", offers)


@lru_cache(MAX_HEADERS)
def _preferred(accept: str, offers: tuple[str, ...]) -> str:
    preferences = {offer: _preference(accept, offer) for offer in offers}
    best = max(offers, key=lambda offer: preferences[offer])
    if preferences[best].quality == 0:
        raise RequestError(406, f'Accept is "{accept[:200]}": this service answers {" or ".join(offers)}.')
    return best


def parse_json(body: bytes | str, name: str) -> Any:
    """Returns the value of a JSON text; integers stay exact. Raises RequestError."""
    try:
        text = body.decode("utf-8") if isinstance(body, bytes) else body
        if text.startswith("\ufeff"):
            raise ValueError("Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)")
        value = _DECODER.decode(text)
        if "\\u" in text:
            # an escaped surrogate without its pair is not text: neither database nor response could hold it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise RequestError(400, f"{name} is nested too deep: at most {MAX_NESTING} levels are allowed.") from None
    except UnicodeError as error:
        raise RequestError(400, f"{name} is not UTF-8: {error}.") from None
    except ValueError as error:
        # after a semicolon Python explains how to change its own limit
        raise RequestError(400, f"{name} is not JSON: {str(error).partition(';')[0]}.") from None
    if text.count("{") + text.count("[") > MAX_NESTING and _deeper_than(value, MAX_NESTING):
        raise RequestError(400, f"{name} is nested too deep: at most {MAX_NESTING} levels are allowed.")
    return value


def _from_url(request: Request) -> dict[str, Any]:
    # a parameter that is empty counts as absent
    parameters: dict[str, Any] = {name: text for name, text in request.query_params.items() if text}
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = parse_json(parameters[name], f'The parameter "{name}"')
    return parameters


@lru_cache(MAX_HEADERS)
def _check_content_type(header: str) -> None:
    content_type, _, parameters = header.partition(";")
    if content_type.strip().lower() != JSON:
        raise RequestError(415, f'Content-Type is "{content_type[:100]}": send {JSON}.', {"Accept-Post": JSON})
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        raise RequestError(415, f'The charset is "{charset[1][:100]}": send utf-8.', {"Accept-Post": JSON})


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Returns the body of a request. Raises RequestError if it is too large or too slow, ClientDisconnect."""
    size, body, more = int(request.headers.get("content-length", "0")), bytearray(), True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while max(size, len(body)) <= max_bytes:
                if not more:
                    return bytes(body)
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise RequestError(408, f"The body took more than {BODY_SECONDS:g} s.", {"Connection": "close"}) from None
    raise RequestError(413, f"The body is larger than {max_bytes} bytes.")


def graphql_request(parameters: Any, name: str = "The body") -> GraphQLRequest:
    """Returns the GraphQL request of a request's parameters. Raises RequestError, BadUserInput."""
    if not isinstance(parameters, dict):
        raise RequestError(
            400, f'{name} is {_kind(parameters)}: send an object. Example: {{"query": "{{ _meta {{ version }} }}"}}'
        )
    query = _optional(parameters, "query", str)
    hash = _persisted_hash(_optional(parameters, "extensions", dict) or {})
    document_id = _optional(parameters, "documentId", str) or None
    if query is None and hash is None and document_id is None:
        raise RequestError(400, MISSING)
    # an empty name or id counts as absent
    return GraphQLRequest(
        query or "",
        _optional(parameters, "variables", dict),
        _optional(parameters, "operationName", str) or None,
        hash,
        document_id,
    )


def _persisted_hash(extensions: dict[str, Any]) -> str | None:
    persisted = extensions.get("persistedQuery")
    if persisted is None:
        return None
    hash = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(hash, str) or not re.fullmatch("[0-9a-fA-F]{64}", hash) or persisted.get("version") != 1:
        raise BadUserInput(
            f"extensions.persistedQuery is {json.dumps(persisted)[:200]}: send version 1 and the document's SHA-256 "
            "in hex. Example: "
            '{"version": 1, "sha256Hash": "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"}'
        )
    return hash.lower()


def _optional(parameters: dict[str, Any], name: str, kind: type) -> Any:
    value = parameters.get(name)
    if value is not None and not isinstance(value, kind):
        raise RequestError(400, f'"{name}" is {_kind(value)}: send {KINDS[kind]}.')
    return value


KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return KINDS[type(value)]


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            child
            for parent in layer
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not layer:
            return False
    return True


class Preference(NamedTuple):
    """How much the Accept header prefers an offer; the greatest wins.

    `preferred` decides between equals: for application/graphql-response+json if it is named, else for application/json.
    """

    quality: float
    named: bool
    preferred: bool


def _preference(accept: str, offer: str) -> Preference:
    qualities = _qualities(accept)
    if offer in qualities:
        return Preference(qualities[offer], named=True, preferred=offer == GRAPHQL_RESPONSE)
    wildcards = (f"{offer.split('/')[0]}/*", "*/*")
    quality = next((qualities[wildcard] for wildcard in wildcards if wildcard in qualities), 0)
    return Preference(quality, named=False, preferred=offer == JSON)


def _qualities(accept: str) -> dict[str, float]:
    """Returns the quality of each media range in the header; 0 if it is refused or malformed."""
    qualities: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        qualities[media_range] = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality, re.ASCII) else 0
    return qualities
