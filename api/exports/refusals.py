"""The responses of exports and look-ups to requests that are refused."""

from starlette.responses import JSONResponse

from api.exports.parquet import ParquetMissing
from api.graphql.errors import BadUserInput, NotReady, Reason, Refusal
from api.http.rates import RateLimited
from api.http.requests import RequestError
from api.http.responses import SERVER_STATUSES, error_response

RETRY_SECONDS = 10


def refusal_of(error: RequestError | Refusal | ParquetMissing) -> JSONResponse:
    """Returns the response: its message as JSON, with the status of the error."""
    match error:
        case RequestError():
            return error_response(error.status, error.message, error.headers)
        case RateLimited():
            return error_response(429, str(error), {"Retry-After": str(error.retry_after)})
        case ParquetMissing():
            return error_response(501, str(error))
        case NotReady():
            return error_response(SERVER_STATUSES[error.code.value], str(error), {"Retry-After": str(RETRY_SECONDS)})
        case BadUserInput() if error.reason in (Reason.STALE_CURSOR, Reason.ORPHANED):
            return error_response(410, str(error))
        case _:
            return error_response(SERVER_STATUSES.get(error.code.value, 400), str(error))
