"""What a failed request shows: about its host, and whether the same request may succeed elsewhere or later."""

from typing import assert_never

from indexer.errors import TryAgain
from indexer.rpc.errors import BrokenOff, NoAnswer, RpcError, WrongShape
from indexer.rpc.host import RECEIPT_METHODS, Host
from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    LimitExceeded,
    NoSuchTag,
    Reverted,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)


def may_be_too_wide(error: TryAgain) -> bool:
    """Returns whether a failure of a query for the logs of several blocks may come of their number."""
    if isinstance(error, RpcError):
        return isinstance(error.refusal, LimitExceeded | SmallerBatch | Unknown)
    return isinstance(error, BrokenOff)


def record_failure(host: Host, method: str, blocks: range | None, error: RpcError | NoAnswer) -> bool:
    """Records what a failure shows about the host. Returns False if the caller must send a different request."""
    if method == "eth_getLogs" and may_be_too_wide(error):
        host.span.forget_guesses()  # a single block fails in the same way
    if isinstance(error, RpcError):
        return record_refusal(host, method, blocks, error)
    if not _is_odd_receipt(method, error):
        host.failed(error)
    return True


def record_refusal(host: Host, method: str, blocks: range | None, error: RpcError) -> bool:
    """Records what a refusal shows about the host. Returns False if the caller must send a different request."""
    match error.refusal:
        case ShrinkTo() | UseRange() | HalveQuery() | SplitAddresses() | SmallerBatch() if method == "eth_getLogs":
            if blocks is not None and len(blocks) > 1:
                host.range_limited(blocks, error.refusal)
            return False
        case LimitExceeded():
            host.rate_limited(None, error)
        case BackOff(seconds):
            host.rate_limited(seconds, error)
        case HistoryGone():
            host.history_missing(method, blocks, error)
        case GiveUp():
            host.refused(method, error)
        case WaitForHead() | NoSuchTag():
            pass
        case Reverted():
            return False
        case Unknown() | ShrinkTo() | UseRange() | HalveQuery() | SplitAddresses() | SmallerBatch() if (
            method in RECEIPT_METHODS
        ):
            host.receipts_refused(method, error)
        case Unknown() | ShrinkTo() | UseRange() | HalveQuery() | SplitAddresses() | SmallerBatch():
            host.failed(error)
        case _ as never:
            assert_never(never)
    return True


def is_final(method: str, failure: TryAgain) -> bool:
    """Returns whether another round of the same request would fail in the same way, or another method may succeed."""
    if not isinstance(failure, RpcError):
        return _is_odd_receipt(method, failure)
    if method == "eth_getBlockReceipts":
        return not isinstance(failure.refusal, BackOff)
    return isinstance(failure.refusal, WaitForHead | HistoryGone | GiveUp)


def _is_odd_receipt(method: str, failure: TryAgain) -> bool:
    """Returns whether an answer holds no receipts of the right shape: for this block it will not get better."""
    return method in RECEIPT_METHODS and isinstance(failure, WrongShape)


def is_tag_unknown(error: TryAgain) -> bool:
    return isinstance(error, RpcError) and isinstance(error.refusal, NoSuchTag)


def kind_of(error: TryAgain) -> str:
    """Returns the name by which metrics count an error."""
    return type(error.refusal).__name__ if isinstance(error, RpcError) else type(error).__name__


def span_of(error: TryAgain) -> int:
    """Returns the number of blocks that a refusal allows, 0 if it names none."""
    refusal = error.refusal if isinstance(error, RpcError) else None
    return refusal.blocks if isinstance(refusal, ShrinkTo) else 0
