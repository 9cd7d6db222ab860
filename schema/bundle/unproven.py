"""Events that a bundle does not prove yet: why, and when they become provable."""

from enum import StrEnum

from schema.vocabulary import FailureCause


class Cause(StrEnum):
    """Why an event is not proven. The last four are those of the verification that failed."""

    NOT_FINAL = "NOT_FINAL"
    NOT_VERIFIED = "NOT_VERIFIED"
    NOT_STORED = "NOT_STORED"
    UNKNOWN_FORM = "UNKNOWN_FORM"
    NO_EVIDENCE = "NO_EVIDENCE"
    CONTRADICTED = "CONTRADICTED"
    WRONGLY_STORED = "WRONGLY_STORED"


def cause_of(block: int, final: int, failure: FailureCause | None) -> Cause:
    """Returns why a block is not verified; `final` is the last indexed block that is final, -1 if there is none."""
    if failure is not None:
        return Cause(failure.name)
    return Cause.NOT_FINAL if block > final else Cause.NOT_VERIFIED


def provable_at(cause: Cause, block: int, indexed: int, final: int) -> int | None:
    """Returns the block whose indexing should make `block` final; None if `block` is final, or that is unknown.

    It is an estimate: the last final block stays as far behind the indexed one as it is now. On a chain so young that
    only its first block is final, that distance is unknown.
    """
    return block + indexed - final if cause is Cause.NOT_FINAL and final > 0 else None


def explain(cause: Cause, block: int, provable_at: int | None) -> str:
    """Returns one sentence: why a block's events are not proven, and when or how they become provable."""
    when = "" if provable_at is None else f", about when block {provable_at} is indexed"
    match cause:
        case Cause.NOT_FINAL:
            return f"block {block} is not final yet: its events become provable once it is{when}"
        case Cause.NOT_VERIFIED:
            return f"block {block} is final and waits for its verification: its events become provable with it"
        case Cause.NOT_STORED:
            return f"the proofs of block {block} are not stored (KEEP_PROOFS=off): certindex prove makes them again"
        case Cause.UNKNOWN_FORM:
            return f"block {block} cannot be verified: the form of its receipts or header is unknown to this release"
        case Cause.NO_EVIDENCE:
            return f"block {block} is not verified: no provider had its receipts; its verification is retried"
        case Cause.CONTRADICTED:
            return f"block {block} is not verified: the providers' evidence contradicts its hash; another may prove it"
        case Cause.WRONGLY_STORED:
            return f"the stored events of block {block} differ from its receipts"
