"""The wait before a request is sent again."""

import random
from collections.abc import Callable

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0


def wait_seconds(
    attempt: int, *, first: float = FIRST_WAIT_SECONDS, jitter: Callable[[], float] = random.random
) -> float:
    """Returns a random wait after failure number `attempt`, from 1, up to a ceiling that doubles (full jitter).

    The jitter spreads requests that failed together, so that they do not return together.
    """
    return jitter() * min(first * 2.0 ** min(attempt - 1, 30), LONGEST_WAIT_SECONDS)
