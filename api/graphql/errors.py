"""Refusals: what a client did that cannot be answered, by type, each with its `extensions.code`.

An exception of another type is a defect of ours, or the database fails: it is logged with its traceback, and told
without its text.
"""

import logging
from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar

from graphql import GraphQLError
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)


class Code(Enum):
    """What `extensions.code` may say."""

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


class Reason(Enum):
    """The finer cause of a BAD_USER_INPUT, in `extensions.reason`."""

    AMBIGUOUS = "AMBIGUOUS"
    STALE_CURSOR = "STALE_CURSOR"
    ORPHANED = "ORPHANED"


class Refusal(Exception):
    """A request that is answered with an error of its own; the text names the thing, the value and the way out."""

    code: ClassVar[Code]

    @property
    def extensions(self) -> dict[str, Any]:
        """What graphql-core puts beside the message."""
        return {"code": self.code.value}


class BadUserInput(Refusal):
    """`candidates` are the DIDs of what an ambiguous key names."""

    code = Code.BAD_USER_INPUT

    def __init__(self, message: str, reason: Reason | None = None, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.candidates = list(candidates)

    @property
    def extensions(self) -> dict[str, Any]:
        told: dict[str, Any] = {"code": self.code.value}
        if self.reason is not None:
            told["reason"] = self.reason.value
        if self.candidates:
            told["candidates"] = self.candidates
        return told


class NotReady(Refusal):
    """What is asked cannot be answered yet; later it can."""

    code = Code.NOT_READY


class DatabaseUnreadable(NotReady):
    def __init__(self) -> None:
        super().__init__("The database cannot be read; /readyz says why.")


class TimedOut(Refusal):
    """An answer that takes longer than the service allows."""

    code = Code.TIMEOUT

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The answer took more than {seconds:g} s and was abandoned: request smaller pages or a narrower filter."
        )


def tell_code(errors: list[GraphQLError], code: Code) -> None:
    """Gives each error the code, in place, where it has none."""
    for error in errors:
        error.extensions = {"code": code.value, **(error.extensions or {})}


def mask(errors: list[GraphQLError]) -> None:
    """Gives each error of an execution its code, in place. Defects of ours are logged and told without their text."""
    for index, error in enumerate(errors):
        cause = error.original_error
        if error.extensions and "code" in error.extensions:
            continue
        if cause is None or isinstance(cause, GraphQLError):
            # of graphql-core: a variable or an argument that does not fit its type
            tell_code([error], Code.BAD_USER_INPUT)
            continue
        log.error("unexpected error at %s", error.path, exc_info=cause, extra={"fields": {"path": error.path}})
        message, code = DATABASE_FAILED if isinstance(cause, DBAPIError) else FAILED
        errors[index] = GraphQLError(message, nodes=error.nodes, path=error.path, extensions={"code": code.value})


FAILED = ("The server failed on this field; the failure is in its log.", Code.INTERNAL_SERVER_ERROR)
DATABASE_FAILED = ("The database failed on this field: try again later; /readyz says more.", Code.NOT_READY)
