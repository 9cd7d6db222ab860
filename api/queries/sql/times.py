"""Times in conditions: columns hold whole seconds, a compared time may have a fraction."""

from datetime import datetime

LAST_SECOND = 253402300799
"""9999-12-31T23:59:59Z in unix seconds. A later time has no form in RFC 3339: it is returned, and filtered, as null."""


def seconds_down(value: datetime) -> int:
    """Returns the last whole second at or before a time."""
    return int((value.replace(microsecond=0)).timestamp())


def seconds_up(value: datetime) -> int:
    """Returns the first whole second at or after a time."""
    return seconds_down(value) + (value.microsecond > 0)


def bound(operator: str, value: datetime) -> int:
    """Returns the whole second that gives the same result as the time when a column is compared with it."""
    return seconds_down(value) if operator in ("gt", "lte") else seconds_up(value)
