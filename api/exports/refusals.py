"""The responses of exports and look-ups to requests that are refused."""

from starlette.responses import JSONResponse

from api.exports.parquet import ParquetMissing
from api.graphql.errors import BadUserInput, NotReady, Reason, Refusal
from api.http.requests import RequestError
from api.http.responses import error_response

RETRY_SECONDS = 10


def refusal_of(error: RequestError | Refusal | ParquetMissing) -> JSONResponse:
    """Returns the response: its message as JSON, with the status of the error."""
    match error:
        case ParquetMissing():
            error = RequestError(501, str(error))
        case NotReady():
            error.retry_after = RETRY_SECONDS
        case BadUserInput() if error.reason in (Reason.STALE_CURSOR, Reason.ORPHANED):
            error = RequestError(410, str(error))
    return error_response(error)
