"""Actions between two requests of an indexer, or between two of its writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.support.chain.fakechain import FakeNode

WRITING = ("INSERT", "UPDATE", "DELETE")

HasHappened = Callable[[], bool]


class Crash(Exception):
    """The process dies."""


def crash() -> None:
    raise Crash


@contextmanager
def at_call(node: FakeNode, number: int, action: Callable[[], Any]) -> Iterator[HasHappened]:
    """Calls `action` once, before the request of this number. Yields a function that returns whether it was called."""
    count = _Countdown(number, action)
    node.before_call = lambda _method: count()
    yield lambda: count.is_over
    node.before_call = node.calls.append


@contextmanager
def at_write(engine: Engine, number: int, action: Callable[[], Any]) -> Iterator[HasHappened]:
    """Calls `action` once, before the write of this number. Yields a function that returns whether it was called.

    A commit counts as a write. A crash anywhere between two writes has the effect of one at the second.
    """
    count = _Countdown(number, action)

    def count_writes(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith(WRITING):
            count()

    def count_commits(_: Any) -> None:
        count()

    event.listen(engine, "before_cursor_execute", count_writes)
    event.listen(engine, "commit", count_commits)
    yield lambda: count.is_over
    event.remove(engine, "before_cursor_execute", count_writes)
    event.remove(engine, "commit", count_commits)


class _Countdown:
    def __init__(self, number: int, action: Callable[[], Any]) -> None:
        self._left = number
        self._action = action

    def __call__(self) -> None:
        self._left -= 1
        if self._left == -1:
            self._action()

    @property
    def is_over(self) -> bool:
        return self._left < 0
