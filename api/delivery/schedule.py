"""When a message is sent again: the schedule of Standard Webhooks, with jitter."""

import random
from email.utils import parsedate_to_datetime

MINUTE, HOUR = 60.0, 3600.0
DELAYS = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds from one failed attempt to the next. The first attempt is made at once; the last delay repeats."""

BROKER_SECONDS = 30.0
"""The longest delay for NATS and Redis: a broker belongs to the operator, and takes messages soon after a restart."""

JITTER = 0.1
"""A delay is longer or shorter by up to this share, so that receivers are not called all at once after an outage."""

LEAST_SECONDS, MOST_SECONDS = 1.0, DELAYS[-1]
"""Bounds of a receiver's Retry-After."""


def delay_after(failures: int, most: float = MOST_SECONDS) -> float:
    """Returns the seconds to wait after a number of failed attempts, which is 1 or more. `most` limits them, about."""
    delay = min(DELAYS[min(failures, len(DELAYS)) - 1], most)
    return delay * random.uniform(1 - JITTER, 1 + JITTER)


def retry_after(value: str | None, now: float) -> float | None:
    """Returns the seconds of a Retry-After header, a number or a date; None for any other text."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, LEAST_SECONDS), MOST_SECONDS)
