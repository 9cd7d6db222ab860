"""The logs of the parts of a cluster, with their times, to explain why reads or writes stood still."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator

KEPT = 20_000
LONGEST = 160
SHOWN = 30

USUAL = re.compile(
    r"no action|Lock owner:| INFO (indexed|rolled back|serving)|login attempt|new connection to server|"
    r'client close request|client unexpected eof|"level":"info"|LOG stats:|GET /|checkpoint (starting|complete)|'
    r"^(HINT|CONTEXT|STATEMENT|DETAIL):|"
    r"^(WARNING: +)?(File |Traceback|Exception happened|self\.|Base|method\(|---|Connection\w*Error|Broken)"
)
"""Lines that explain nothing: those of every moment, what continues another, and checks that HAProxy gave up."""


class PartLogs:
    """Lines that parts have printed. Those of usual operation are left out."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=KEPT)

    def of(self, name: str) -> Callable[[str], None]:
        """Returns what takes the lines of a part."""

        def take(line: str) -> None:
            text = _without_times(line)
            if text and not USUAL.search(text):
                self._lines.append((time.monotonic(), name, text[:LONGEST]))

        return take

    def between(self, begin: float, end: float, of: str = "") -> list[str]:
        """Returns the first lines of a span, with seconds since it began. Repetitions are counted.

        `of`: a pattern that the part's name matches.
        """
        shown: dict[str, list[float]] = {}
        for moment, name, text in list(self._lines):
            if begin <= moment <= end and re.match(of, name):
                shown.setdefault(f"{name}: {text}", []).append(moment - begin)
        return list(_texts(shown))[:SHOWN]


def _texts(shown: dict[str, list[float]]) -> Iterator[str]:
    for line, moments in shown.items():
        again = f" ({len(moments)} times, last at +{moments[-1]:.1f} s)" if len(moments) > 1 else ""
        yield f"+{moments[0]:.1f} s {line}{again}"


def _without_times(line: str) -> str:
    """Returns a line without its date and time, so that repetitions are alike."""
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,+\d]*( UTC)?|0x[0-9a-f]+|\[\d+\]|:\d{5}\b", "", line).strip()
