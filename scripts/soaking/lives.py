"""The lives of a sender: each is `certindex deliver` in a process of its own, which ends by SIGKILL.

A fork server imports the program once, so that a life begins in milliseconds and not after seconds. What a process
holds open, it opens after the fork.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

from api.delivery.sender import feed_schema
from api.delivery.state import State
from api.delivery.webhook import Webhook
from indexer.__main__ import main

feed_schema()  # made once, for all lives


class KillPoint(NamedTuple):
    """A moment at which a life ends: before or after a call of a method, one of the first `most`.

    `proves` is what the next life shows then.
    """

    of: type
    method: str
    after: bool
    most: int
    proves: str


KILL_POINTS: Mapping[str, KillPoint] = {
    "page read": KillPoint(State, "put", False, 1, "a page that is not stored is read again, with the same ids"),
    "page stored": KillPoint(State, "put", True, 1, "stored messages are sent before the feed goes on"),
    "before a request": KillPoint(Webhook, "send", False, 20, "a message that was never sent is sent next"),
    "after a response": KillPoint(Webhook, "send", True, 20, "a message whose delivery is not noted comes again"),
    "before progress": KillPoint(State, "save", False, 20, "what progress lacks comes again, in order, as it was"),
    "after progress": KillPoint(State, "save", True, 20, "messages go on behind the stored progress"),
    "while restoring": KillPoint(State, "messages", True, 1, "a start that does not end changes nothing"),
}


class Life:
    """One running process. `kill_point`: it kills itself there, at the nth time."""

    def __init__(
        self, environment: Mapping[str, str], output: Path, kill_point: str | None = None, nth: int = 1
    ) -> None:
        self._output = output
        # a process imports what runs its parent again, unless that is a package's __main__
        CONTEXT.set_forkserver_preload([__name__, "pytest"])
        self._process = CONTEXT.Process(target=_live, args=(environment, output, kill_point, nth), daemon=True)
        self._process.start()

    @property
    def has_ended(self) -> bool:
        return not self._process.is_alive()

    @property
    def failure(self) -> str | None:
        """The output of a process that ended, but not by SIGKILL."""
        if self._process.exitcode in (None, -signal.SIGKILL):
            return None
        return self._output.read_text(errors="replace")

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


CONTEXT = get_context("forkserver")


def _live(environment: Mapping[str, str], output: Path, kill_point: str | None, nth: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    os.environ.update(environment)
    if kill_point is not None:
        _kill_at(KILL_POINTS[kill_point], nth)
    main(["deliver"])


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # this is a child
    parent.join()
    os._exit(1)


def _kill_at(point: KillPoint, nth: int) -> None:
    """Makes the nth call of the method the last one."""
    method: Callable[..., Any] = getattr(point.of, point.method)
    calls = 0

    def count() -> bool:
        nonlocal calls
        calls += 1
        return calls >= nth

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(method)
    def called(*arguments: Any, **options: Any) -> Any:
        is_last = count()
        if is_last and not point.after:
            die()
        result = method(*arguments, **options)
        if is_last and point.after:
            die()
        return result

    @functools.wraps(method)
    async def awaited(*arguments: Any, **options: Any) -> Any:
        is_last = count()
        if is_last and not point.after:
            die()
        result = await method(*arguments, **options)
        if is_last and point.after:
            die()
        return result

    setattr(point.of, point.method, awaited if point.of is Webhook else called)
