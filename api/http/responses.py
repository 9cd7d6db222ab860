"""The HTTP responses to GraphQL requests: status, media type, ETag.

Follows the draft "GraphQL over HTTP". An invalid query has the status 400 as `application/graphql-response+json`, and
200 as `application/json`: clients that expect this media type read no errors from a response with another status. The
statuses of `SERVER_STATUSES`, and those of an invalid HTTP request, apply to both.
"""

from hashlib import sha256

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.answering.answers import Answer, encode, refused
from api.graphql.errors import Code, Refusal
from api.http.requests import EVENT_STREAM, JSON, RequestError

SERVER_STATUSES = {
    Code.INTERNAL_SERVER_ERROR.value: 500,
    Code.DAMAGED_DATA.value: 500,
    Code.NOT_READY.value: 503,
    Code.RATE_LIMITED.value: 429,
    Code.TIMEOUT.value: 503,
}
"""The codes of failures of the server, not of the query: clients that retry, and proxies, read the status."""

VARY = {"Vary": "Accept"}

REVALIDATE = {"Cache-Control": "no-cache"}
"""A cache may store the response, and must revalidate it before each use: the next block may change it."""

NOT_STORED = {"Cache-Control": "no-store"}


def answer_response(answer: Answer, media_type: str) -> Response:
    """Returns the response that carries an answer."""
    response = _response(answer.body, _status(answer, media_type), media_type)
    if not answer.executed:
        seconds = answer.errors[0]["extensions"].get("retryAfter") if answer.errors else None
        response.headers.update(NOT_STORED if seconds is None else {**NOT_STORED, "Retry-After": str(seconds)})
    return response


def refusal_response(error: Refusal | RequestError, media_type: str) -> Response:
    """Returns the response to a request that was refused before its execution."""
    if isinstance(error, Refusal):
        return answer_response(refused(error), media_type)
    answer = encode({"errors": [{"message": error.message, "extensions": {"code": error.code.value}}]})
    return _response(answer.body, error.status, media_type, error.headers)


def as_request_error(error: Refusal | RequestError) -> RequestError:
    """Returns the status, the message and the headers by which the endpoints beside `/graphql` refuse a request."""
    if isinstance(error, RequestError):
        return error
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return RequestError(SERVER_STATUSES.get(error.code.value, 400), str(error), headers)


def error_response(error: Refusal | RequestError) -> JSONResponse:
    """Returns the response of the endpoints beside `/graphql` to a request that they refuse."""
    refused = as_request_error(error)
    return JSONResponse({"error": refused.message}, refused.status, {**NOT_STORED, **refused.headers})


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
    # an error in place of a stream is JSON
    media_type = JSON if media_type == EVENT_STREAM else media_type
    return Response(body, status, {"Content-Type": f"{media_type}; charset=utf-8", **VARY, **(headers or {})})


def _status(answer: Answer, media_type: str) -> int:
    if answer.executed or not answer.errors:
        return 200
    return SERVER_STATUSES.get(answer.errors[0]["extensions"]["code"], 200 if media_type == JSON else 400)
