"""The words that pages use for the constants of GraphQL, and the tone in which each is shown.

A tone is `good`, `bad`, `warn` or `plain`. It only repeats the words.
"""

from typing import NamedTuple


class Label(NamedTuple):
    text: str
    tone: str


LABELS: dict[str, dict[str, Label]] = {
    "verdict": {
        "PASS": Label("Pass", "good"),
        "FAIL": Label("Fail", "bad"),
        "UNKNOWN": Label("Unknown", "warn"),
        "NOT_APPLICABLE": Label("Does not apply", "plain"),
    },
    "license": {
        "VALID": Label("Valid", "good"),
        "REVOKED": Label("Revoked", "bad"),
        "EXPIRED": Label("Expired", "bad"),
        "NONE": Label("Never licensed", "bad"),
        "UNKNOWN": Label("Unknown", "warn"),
    },
    "end_of_life": {
        "IN_SERVICE": Label("In service", "good"),
        "DECOMMISSIONED": Label("Decommissioned", "warn"),
        "RECYCLED": Label("Recycled", "plain"),
        "DISPOSED": Label("Disposed", "plain"),
        "UNKNOWN": Label("Unknown", "warn"),
    },
    "process": {
        "DECOMMISSIONED": Label("Decommissioned", "plain"),
        "RECYCLED": Label("Recycled", "plain"),
        "DISPOSED": Label("Disposed", "plain"),
        "UNKNOWN": Label("Unknown step", "warn"),
    },
    "sanitization": {
        "NONE": Label("Not sanitized", "bad"),
        "CLEAR": Label("Cleared", "good"),
        "PURGE": Label("Purged", "good"),
        "DESTROY": Label("Destroyed", "good"),
        "UNKNOWN": Label("Unknown method", "warn"),
    },
    "firmware_update": {
        "SUCCEEDED": Label("Installed", "good"),
        "FAILED": Label("Failed", "bad"),
        "ROLLED_BACK": Label("Rolled back", "warn"),
        "UNKNOWN": Label("Unknown result", "warn"),
    },
    "reset": {
        "UNSPECIFIED": Label("No reason given", "plain"),
        "USER_REQUEST": Label("User request", "plain"),
        "OWNERSHIP_CHANGE": Label("Change of owner", "plain"),
        "SERVICE": Label("Service", "plain"),
        "SECURITY": Label("Security", "warn"),
        "UNKNOWN": Label("Unknown reason", "warn"),
    },
    "grant_end": {
        "REVOKED": Label("Revoked", "plain"),
        "REPLACED": Label("Replaced", "plain"),
        "TRANSFERRED": Label("Ended by transfer", "plain"),
        "BURNED": Label("Ended by burn", "plain"),
    },
    "finality": {
        "FINALIZED": Label("Final", "good"),
        "SAFE": Label("Safe", "plain"),
        "UNSAFE": Label("Not final yet", "warn"),
        "ORPHANED": Label("Removed by a reorg", "bad"),
    },
    "verification": {
        "RECEIPTS": Label("Proven", "good"),
        "BLOOM": Label("Consistent with its block", "plain"),
        "RPC": Label("Not proven yet", "warn"),
    },
    "flag": {
        "AFTER_END_OF_LIFE": Label("After end of life", "bad"),
        "BEFORE_MINT": Label("Before the mint", "bad"),
        "DUPLICATE_MINT": Label("Second mint", "bad"),
        "WRONG_SENDER": Label("Sender was not the owner", "bad"),
        "UNLICENSED": Label("Unlicensed", "bad"),
        "UNKNOWN_CODE": Label("Unknown code", "warn"),
        "TIME_IN_FUTURE": Label("Time in the future", "warn"),
        "UNKNOWN_DEVICE": Label("Unknown device", "warn"),
    },
    "test": {
        "IN_CIRCUIT": Label("In-circuit test", "plain"),
        "MECHANICAL": Label("Mechanical test", "plain"),
        "QUALITY": Label("Quality inspection", "plain"),
    },
    "origin": {
        "LOG": Label("Stated by a log", "good"),
        "DERIVED": Label("Derived", "plain"),
        "CALL": Label("Read from the contract", "plain"),
        "NOT_ON_CHAIN": Label("Not on chain", "warn"),
    },
}
"""A test compares the constants with the enumerations of the schema."""
