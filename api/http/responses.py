"""The HTTP responses to GraphQL requests: status, media type, ETag.

A status says what became of the request: 4xx, or 5xx if the fault is the server's, exactly when the response has no
data. Only a client that names `application/json` in Accept gets 200 for an invalid query, as older clients expect.
"""

from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from api.answering.answers import Answer, encode, refused
from api.graphql.errors import Code, Refusal
from api.http.requests import JSON, MediaType, RequestError

STATUSES = {
    Code.BAD_REQUEST.value: 400,
    Code.INTERNAL_SERVER_ERROR.value: 500,
    Code.NOT_READY.value: 503,
    Code.RATE_LIMITED.value: 429,
    Code.TIMEOUT.value: 503,
}
"""For either media type. Any other code is that of an invalid query."""

VARY = {"Vary": "Accept"}

REVALIDATE = {"Cache-Control": "no-cache"}
"""A cache may store the response, and must revalidate it before each use: the next block may change it."""

NOT_STORED = {"Cache-Control": "no-store"}

ANY_JSON = MediaType(JSON)


def answer_response(answer: Answer, media_type: MediaType) -> Response:
    """Returns the response that carries an answer."""
    response = _response(answer.body, _status(answer, media_type), media_type.name)
    if not answer.executed:
        seconds = answer.errors[0]["extensions"].get("retryAfter") if answer.errors else None
        response.headers.update(NOT_STORED if seconds is None else {**NOT_STORED, "Retry-After": str(seconds)})
    return response


def refusal_response(error: Refusal | RequestError, media_type: MediaType = ANY_JSON) -> Response:
    """Returns the response to a request that was refused before its execution."""
    if isinstance(error, Refusal):
        return answer_response(refused(error), media_type)
    answer = encode({"errors": [{"message": error.message, "extensions": {"code": error.code.value}}]})
    return _response(answer.body, error.status, media_type.name, error.headers)


def revalidated(request: Request, response: Response) -> Response:
    """Returns the response with its ETag, or 304 if the client has it.

    The ETag is weak, because compression changes the bytes.
    """
    tag = f'W/"{sha256(bytes(response.body)).hexdigest()[:32]}"'
    cached = [value.strip() for value in request.headers.get("if-none-match", "").split(",")]
    if tag in cached or "*" in cached:
        return Response(status_code=304, headers={"ETag": tag, **REVALIDATE, **VARY})
    response.headers.update({"ETag": tag, **REVALIDATE})
    return response


def _response(body: bytes, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, {"Content-Type": f"{media_type}; charset=utf-8", **VARY, **(headers or {})})


def _status(answer: Answer, media_type: MediaType) -> int:
    if answer.executed or not answer.errors:
        return 200
    code = answer.errors[0]["extensions"]["code"]
    if code == Code.PERSISTED_QUERY_NOT_FOUND.value and media_type.name == JSON:
        return 200  # a step of the protocol: some clients read no response with another status
    if code in STATUSES:
        return STATUSES[code]
    return 200 if media_type == MediaType(JSON, named=True) else 400
