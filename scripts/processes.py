"""Child processes that end with this one."""

import ctypes
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1


class Child:
    """A running program. `on_line` is called with each line of its output; `last_output` has the last 50 lines."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        on_line: Callable[[str], None] = lambda line: None,
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
            start_new_session=True,  # a terminal's Ctrl-C reaches only the parent, which ends its children in order
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._reader = threading.Thread(target=self._read_output, args=(on_line,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status, None while the program runs."""
        return self._process.poll()

    @property
    def last_output(self) -> str:
        if self.exit_status is not None:
            self._reader.join(timeout=1)
        return "\n".join(self._lines)

    def stop(self, *, patience: float = 60.0, by: signal.Signals = signal.SIGTERM) -> None:
        """Sends the program a signal; if it has not ended after `patience` seconds, kills it."""
        if self._process.poll() is None:
            self._process.send_signal(by)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(timeout=5)

    def kill(self) -> None:
        """Ends the program at once, as a crash would."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)

    def _read_output(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                on_line(line.rstrip("\n"))


@contextmanager
def serving(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs a server; yields the URL of its line `serving http://...`. Raises RuntimeError if it ends before."""
    with serving_child(command, environment) as (url, _):
        yield url


@contextmanager
def serving_child(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Child]]:
    """Runs a server; yields its URL, as `serving` does, and its process."""
    urls: list[str] = []

    def read(line: str) -> None:
        if "serving http" in line:
            urls.append(line.split("serving ")[1])

    child = Child(command, on_line=read, environment=environment)
    try:
        while not urls:
            if child.exit_status is not None:
                raise RuntimeError(f"{' '.join(child.command)} ended before it served:\n{child.last_output}")
            time.sleep(0.001)
        yield urls[0], child
    finally:
        child.stop()


def peak_memory(pid: int) -> int:
    """Returns the resident memory of a process at its peak, in bytes; elsewhere than on Linux, its memory now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    (peak,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak) * 1024


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
