"""The interface of all receivers: they take a message, and return whether they accepted it."""

import os
from typing import Protocol

from msgspec import Struct

from api.delivery.messages import Message


class Outcome(Struct, frozen=True):
    """How an attempt ended. `result` is a short word for metrics, `detail` a sentence for people.

    `retry_after` are the seconds that the receiver asks to be left alone, `gone` that it wants no message ever again.
    """

    delivered: bool
    result: str
    detail: str
    retry_after: float | None = None
    gone: bool = False


class Receiver(Protocol):
    """The receiver of one subscription. Used by one task."""

    async def send(self, message: Message) -> Outcome:
        """Makes one attempt to deliver a message. Every failure is an outcome."""

    async def close(self) -> None:
        """Closes the connection."""


def failed(result: str, detail: str, retry_after: float | None = None) -> Outcome:
    """Returns the outcome of a failed attempt, with its detail in one line."""
    return Outcome(False, result, " ".join(detail.split())[:500], retry_after)


def timed_out(seconds: float) -> Outcome:
    """Returns the outcome of an attempt that took too long."""
    return failed("timeout", f"no response within {seconds:g} s")


def reason_of(error: Exception) -> str:
    """Returns why a connection failed, in the words of the operating system if it has a number."""
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
