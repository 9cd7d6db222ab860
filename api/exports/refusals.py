"""The responses of exports and look-ups to requests that are refused."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from api.exports.parquet import ParquetMissing
from api.graphql.errors import BadUserInput, NotReady, Reason, Refusal
from api.http.rates import RateLimited
from api.http.requests import RequestError
from api.http.responses import SERVER_STATUSES

RETRY_SECONDS = 10


def refusal_of(error: RequestError | Refusal | ParquetMissing) -> JSONResponse:
    """Returns the response: its message as JSON, with the status of the error."""
    match error:
        case RequestError():
            return _refusal(error.status, error.message, error.headers)
        case RateLimited():
            return _refusal(429, str(error), {"Retry-After": str(error.retry_after)})
        case ParquetMissing():
            return _refusal(501, str(error), {})
        case NotReady():
            return _refusal(SERVER_STATUSES[error.code.value], str(error), {"Retry-After": str(RETRY_SECONDS)})
        case BadUserInput() if error.reason is Reason.STALE_CURSOR:
            return _refusal(410, str(error), {})
        case _:
            return _refusal(SERVER_STATUSES.get(error.code.value, 400), str(error), {})


def _refusal(status: int, message: str, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse({"error": message}, status, {"Cache-Control": "no-store", **headers})
