"""What a provider's refusal asks of the one who was refused."""

from msgspec import Struct


class ShrinkTo(Struct, frozen=True):
    """The provider takes no range of more than so many blocks, both ends counted: to = from + blocks - 1."""

    blocks: int


class UseRange(Struct, frozen=True):
    """This range is said to work, both ends included."""

    first: int
    last: int


class HalveQuery(Struct, frozen=True):
    """This answer would be too big; it says nothing about other ranges."""


class SplitAddresses(Struct, frozen=True):
    """Too many addresses or topics in one query."""


class BackOff(Struct, frozen=True):
    """Asked too often, or too much for a plan: a smaller question would not help. `seconds`: as the provider said."""

    seconds: float | None = None


class WaitForHead(Struct, frozen=True):
    """The provider has not come to this block yet."""


class HistoryGone(Struct, frozen=True):
    """The provider no longer keeps blocks or states as old as this."""


class SmallerBatch(Struct, frozen=True):
    """The request's body is too big for the provider."""


class GiveUp(Struct, frozen=True):
    """Asking this provider the same again will never help."""


class Reverted(Struct, frozen=True):
    """The contract refused the call: the provider did all that it could."""


class Unknown(Struct, frozen=True):
    """Nobody has seen this text: halve, then back off, then report it."""


Refusal = (
    ShrinkTo
    | UseRange
    | HalveQuery
    | SplitAddresses
    | BackOff
    | WaitForHead
    | HistoryGone
    | SmallerBatch
    | GiveUp
    | Reverted
    | Unknown
)
