"""Times as texts."""

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """Returns an instant in UTC by RFC 3339, with Z. Example: 2024-01-01T00:00:00Z"""
    return moment.isoformat().replace("+00:00", "Z")


def utc_seconds_text(seconds: float) -> str:
    """Returns a second of Unix time by RFC 3339. Raises ValueError, OverflowError or OSError if it is too large."""
    return utc_text(datetime.fromtimestamp(seconds, UTC).replace(microsecond=0))
