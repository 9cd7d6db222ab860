"""Refusals: the errors of requests, by type, each with its `extensions.code`.

Any other exception is a failure of the database, logged with the driver's message, or a defect of the server, logged
with its traceback. The client does not receive its text.
"""

import logging
from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar

from graphql import GraphQLError
from sqlalchemy.exc import DBAPIError

from schema.program.logs import log_event
from schema.tables.damage import DamagedData

log = logging.getLogger(__name__)


class Code(Enum):
    """The values of `extensions.code`."""

    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    BAD_REQUEST = "BAD_REQUEST"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
    MAX_COST_EXCEEDED = "MAX_COST_EXCEEDED"
    MAX_DEPTH_EXCEEDED = "MAX_DEPTH_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    TIMEOUT = "TIMEOUT"
    NOT_READY = "NOT_READY"
    DAMAGED_DATA = "DAMAGED_DATA"
    NOT_FOUND = "NOT_FOUND"


class Reason(Enum):
    """The cause of a BAD_USER_INPUT, in `extensions.reason`."""

    AMBIGUOUS = "AMBIGUOUS"
    STALE_CURSOR = "STALE_CURSOR"
    ORPHANED = "ORPHANED"


class Refusal(Exception):
    """A request that is refused. The message names the thing, its value, and what to send instead.

    If the client may send the request again, `retry_after` has the seconds until then.
    """

    code: ClassVar[Code]
    retry_after: int | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        """The error's `extensions`: graphql-core copies them from the exception."""
        code = {"code": self.code.value}
        return code if self.retry_after is None else {**code, "retryAfter": self.retry_after}

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors of the response to a request that was refused before its execution."""
        return [{"message": str(self), "extensions": self.extensions}]


class BadRequest(Refusal):
    """No operation is named that may be executed here."""

    code = Code.BAD_REQUEST


class InvalidRequest(Refusal):
    """A document that is not valid, or variables that do not match their types. An error may have locations."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self._errors = errors

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self._errors


class TooManyAlike(Refusal):
    """A document that takes long to validate."""

    code = Code.MAX_COST_EXCEEDED


class BadUserInput(Refusal):
    """An argument or variable is wrong. `candidates` are the DIDs that an ambiguous key matches."""

    code = Code.BAD_USER_INPUT

    def __init__(self, message: str, reason: Reason | None = None, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.candidates = list(candidates)

    @property
    def extensions(self) -> dict[str, Any]:
        extensions = super().extensions
        if self.reason is not None:
            extensions["reason"] = self.reason.value
        if self.candidates:
            extensions["candidates"] = self.candidates
        return extensions


class NotReady(Refusal):
    """The request cannot be answered yet. The client may send it again later."""

    code = Code.NOT_READY


def database_failed(error: DBAPIError) -> NotReady:
    """Logs an error of the database, and returns the refusal of the request that met it."""
    log_event(log, logging.ERROR, "the database failed", ": {error}", _driver_text(error))
    return NotReady("The database cannot be read; /readyz states the reason.")


class Damaged(Refusal):
    """Stored data that every answer needs was changed after it was stored."""

    code = Code.DAMAGED_DATA


class TimedOut(Refusal):
    """An answer that takes longer than the service allows."""

    code = Code.TIMEOUT

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The answer took more than {seconds:g} s and was abandoned: request smaller pages or a narrower filter."
        )


def set_code(errors: list[GraphQLError], code: Code) -> None:
    """Sets the code of each error that has none, in place."""
    for error in errors:
        error.extensions = {"code": code.value, **(error.extensions or {})}


def mask(errors: list[GraphQLError]) -> None:
    """Sets the code of each error of an execution, in place. Logs unexpected errors and removes their text."""
    for index, error in enumerate(errors):
        cause = error.original_error
        if error.extensions and "code" in error.extensions:
            continue
        if cause is None or isinstance(cause, GraphQLError):
            # from graphql-core: a variable or argument does not match its type
            set_code([error], Code.BAD_USER_INPUT)
            continue
        path = ".".join(map(str, error.path or ()))
        if isinstance(cause, DamagedData):
            log_event(log, logging.ERROR, "stored data is damaged", " at {path}: {error}", path, str(cause))
            message, code = str(cause), Code.DAMAGED_DATA
        elif isinstance(cause, DBAPIError):
            log_event(log, logging.ERROR, "the database failed", " at {path}: {error}", path, _driver_text(cause))
            message, code = DATABASE_FAILED
        else:
            log.error("unexpected error at %s", error.path, exc_info=cause, extra={"fields": {"path": error.path}})
            message, code = FAILED
        errors[index] = GraphQLError(message, nodes=error.nodes, path=error.path, extensions={"code": code.value})


def _driver_text(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


FAILED = ("The server failed on this field; the failure is in its log.", Code.INTERNAL_SERVER_ERROR)
DATABASE_FAILED = ("The database failed on this field. Try again later; /readyz shows its state.", Code.NOT_READY)
