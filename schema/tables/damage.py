"""Stored data that something else changed."""

UNREADABLE = (TypeError, ValueError, LookupError, OverflowError, AttributeError)
"""What code raises that reads a value of another form than was stored: an event may also have no fact any more."""

WAY_OUT = (
    "It was changed after it was stored. certindex rebuild --check, verify and digest find what was changed; certindex "
    "rebuild rewrites derived rows, certindex rollback removes wrong events, and a backup restores the rest."
)


class DamagedData(Exception):
    """Stored data was changed after it was stored. The message names the first contradiction, and the way out."""


def unreadable(what: str, error: Exception) -> DamagedData:
    """Returns the error for a stored value that cannot be read."""
    return DamagedData(f"{what} cannot be read ({type(error).__name__}: {str(error)[:200]}). {WAY_OUT}")
