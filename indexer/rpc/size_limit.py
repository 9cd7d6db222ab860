"""The size of requests that a host takes: blocks of a query for logs, requests of a batch."""

from collections.abc import Callable

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3_600.0
GROWTH = 4
"""A size that works grows by a quarter of itself: what works is then above four fifths of what the host takes."""


class SizeLimit:
    """The largest size that is sent to a host; `largest` while nothing is known of a limit.

    A refusal halves it, or sets it to the size that the host named. It grows by a quarter each time that it works. If
    the grown size is refused, the one that worked counts again, and growth pauses: for a minute, then twice as long
    each time, up to an hour. A size that the host named does not grow during the first pause.
    """

    def __init__(self, largest: int, clock: Callable[[], float]) -> None:
        self.largest = largest
        self._clock = clock
        self._size = largest
        self._worked = 0
        self._refused = False
        self._pause = FIRST_PAUSE_SECONDS
        self._grows_at = 0.0

    @property
    def size(self) -> int:
        """Returns the largest size to send now."""
        if self._size == self._worked and self._clock() >= self._grows_at:
            return min(self._size + max(self._size // GROWTH, 1), self.largest)
        return self._size

    @property
    def is_known(self) -> bool:
        """Returns whether the host has refused a size, and no larger one has worked since."""
        return self.size < self.largest

    @property
    def is_guess(self) -> bool:
        """Returns whether `size` has not worked yet, since the host refused a larger one."""
        return self._refused and self._worked < self.size

    def refused(self, size: int, named: int | None = None, *, lasting: bool = False) -> None:
        """Records that a size was refused; `named` is the size that the host states, `lasting` that it is a rule.

        A named size that is not smaller than the refused one counts as half of it.
        """
        self._refused = True
        if named is not None and named < size:
            self._set(named)
            if lasting:
                self._grows_at = self._clock() + self._pause
        elif size > self.size:
            pass  # it was sent before the limit was lowered
        elif size > self._worked > 0:
            self._set(self._worked)
            self._grows_at = self._clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            self._set(size - 1 if named == size else size // 2)

    def worked(self, size: int) -> None:
        """Records that a size worked."""
        if self._refused and size >= self._size:
            self._pause = FIRST_PAUSE_SECONDS if size > self._worked else self._pause
            self._size = self._worked = min(size, self.largest)

    def forget_guesses(self) -> None:
        """Drops sizes of which none has worked: refusals of the smallest size show that they had another reason."""
        self._size = self._worked or self.largest

    def _set(self, size: int) -> None:
        self._size = max(min(size, self._size), 1)
        self._worked = min(self._worked, self._size)
