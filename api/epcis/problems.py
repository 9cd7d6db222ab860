"""Problem documents (RFC 7807) with the exceptions of EPCIS as their types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse

from api.graphql.errors import Code, Reason

RETRY_SECONDS = 5


@dataclass(eq=False)
class Problem(Exception):
    """A request that has no events for its answer."""

    status: int
    type: str
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, headers: Mapping[str, str]) -> JSONResponse:
        body = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        sent = {**headers, "Cache-Control": "no-store", **self.headers}
        return JSONResponse(body, self.status, sent, media_type="application/problem+json")


def bad_parameter(detail: str) -> Problem:
    return Problem(400, "epcisException:QueryParameterException", "A parameter is wrong", detail)


def no_such_resource(detail: str) -> Problem:
    return Problem(404, "epcisException:NoSuchResourceException", "Not found", detail)


def not_acceptable(detail: str) -> Problem:
    return Problem(406, "epcisException:NotAcceptableException", "Not acceptable", detail)


FAILED = Problem(
    500, "epcisException:ImplementationException", "The server failed", "The failure is in the server's log."
)


def problem_of(error: Mapping[str, Any]) -> Problem:
    """Returns the problem for an error of GraphQL's."""
    message, extensions = error["message"], error["extensions"]
    match extensions["code"], extensions.get("reason"):
        case Code.BAD_USER_INPUT.value, Reason.STALE_CURSOR.value:
            detail = f"{message} Begin again without nextPageToken."
            return Problem(410, "epcisException:NoSuchResourceException", "The page is gone", detail)
        case Code.BAD_USER_INPUT.value, _:
            return bad_parameter(message)
        case Code.RATE_LIMITED.value, _:
            return too_many(message, extensions["retryAfter"])
        case ((Code.NOT_READY.value | Code.TIMEOUT.value), _):
            retry = {"Retry-After": str(RETRY_SECONDS)}
            return Problem(503, "epcisException:ImplementationException", "Not available right now", message, retry)
        case ((Code.MAX_COST_EXCEEDED.value | Code.MAX_DEPTH_EXCEEDED.value), _):
            return Problem(413, "epcisException:QueryTooLargeException", "The query is too large", message)
    return FAILED


def too_many(message: str, seconds: int) -> Problem:
    return Problem(429, "about:blank", "Too many requests", message, {"Retry-After": str(seconds)})
