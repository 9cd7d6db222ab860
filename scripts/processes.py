"""Child processes that never outlive this one."""

import ctypes
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Child:
    """A running program, its last words, and the way to end it.

    `heard` receives each line of output as it comes; the last 50 lines are kept for `last_words`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        heard: Callable[[str], None] = lambda line: None,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self._lines: deque[str] = deque(maxlen=50)
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            user=user,
            extra_groups=[] if user else None,
            start_new_session=True,  # a terminal's Ctrl-C reaches the parent alone, which ends its children in order
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._listener = threading.Thread(target=self._listen, args=(heard,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Return None while the program runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        if self.exit_status is not None:
            self._listener.join(timeout=1)
        return "\n".join(self._lines)

    def stop(self, *, patience: float = 10.0, asking: signal.Signals = signal.SIGTERM) -> None:
        """End the program: ask with a signal, wait `patience` seconds, then kill."""
        if self._process.poll() is None:
            self._process.send_signal(asking)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        self._listener.join(timeout=5)

    def kill(self) -> None:
        """End the program at once, as a crash would."""
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=5)

    def _listen(self, heard: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                heard(line.rstrip("\n"))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
