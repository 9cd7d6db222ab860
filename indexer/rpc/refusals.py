"""Refusals of providers, by what the caller should do next."""

from msgspec import Struct


class ShrinkTo(Struct, frozen=True):
    """The provider takes no range longer than `blocks`, both ends counted: to = from + blocks - 1."""

    blocks: int


class UseRange(Struct, frozen=True):
    """The provider accepts this range, both ends included."""

    first: int
    last: int


class HalveQuery(Struct, frozen=True):
    """The response would be too big. Other ranges may work."""


class SplitAddresses(Struct, frozen=True):
    """Too many addresses or topics in one query."""


class LimitExceeded(Struct, frozen=True):
    """Too many blocks, results or requests, without saying which: a shorter range may help, or else a pause."""


class BackOff(Struct, frozen=True):
    """Too many requests, or too many for the plan: a smaller request would not help. `seconds`: the wait it named."""

    seconds: float | None = None


class WaitForHead(Struct, frozen=True):
    """The provider does not have this block yet."""


class NoSuchTag(Struct, frozen=True):
    """The provider does not know this block tag, or has no block for it."""


class HistoryGone(Struct, frozen=True):
    """The provider no longer keeps blocks or states as old as this."""


class SmallerBatch(Struct, frozen=True):
    """Too many requests in a batch, or a body that is too big. `requests`: the most that the provider named."""

    requests: int | None = None


class GiveUp(Struct, frozen=True):
    """The provider will never accept this request."""


class Reverted(Struct, frozen=True):
    """The contract reverted the call: the provider itself works."""


class Unknown(Struct, frozen=True):
    """The text is in no catalog: halve the query, then back off, then report the text."""


Refusal = (
    ShrinkTo
    | UseRange
    | HalveQuery
    | SplitAddresses
    | LimitExceeded
    | BackOff
    | WaitForHead
    | NoSuchTag
    | HistoryGone
    | SmallerBatch
    | GiveUp
    | Reverted
    | Unknown
)
