"""What the demo prints: progress, the welcome with its example queries, and a line for each act."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

from scripts.demonstration.queries import example_queries
from tests.support.fleet import Fleet, RecordedAct
from tests.support.fleet.acts import MintPallet


def say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def progress_bar(title: str) -> Callable[[int, int], None]:
    """Returns a function that shows progress: a bar on a terminal, elsewhere a line for each quarter."""
    printed = 0

    def show(done: int, planned: int) -> None:
        nonlocal printed
        if sys.stderr.isatty():
            filled = 30 * done // planned
            end = "\n" if done == planned else ""
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {title}", end=end, file=sys.stderr, flush=True)
        elif (quarter := 4 * done // planned) > printed:
            printed = quarter
            say(f"{title}: {25 * quarter} %")

    return show


def print_welcome(url: str, fleet: Fleet, now: int, still: bool) -> None:
    print(f"\nThe explorer, pages for people:  {url}/")
    print(f"GraphQL, with an editor:         {url}/graphql\n")
    for number, (title, query) in enumerate(example_queries(fleet, now), start=1):
        print(f"{number}. {title}\n")
        print("\n".join(f"    {line}" for line in query.splitlines()) + "\n")
    print("The chain stands still." if still else "The fleet goes on living; each of its events is printed here.")
    print("Ctrl-C ends everything.\n", flush=True)


def summary(done: RecordedAct) -> str:
    """Returns one line about an act: its time and block, its kind, its device and its details."""
    act = done.act
    details = {name: getattr(act, name) for name in type(act).__slots__ if name not in ("at", "token", "drafts")}
    token = f" device {act.token}" if hasattr(act, "token") else ""
    if isinstance(act, MintPallet):
        details["devices"] = len(act.drafts)
    text = " ".join(f"{name}={value}" for name, value in details.items() if value not in (None, ""))
    instant = datetime.fromtimestamp(done.block_time, UTC).strftime("%H:%M:%S")
    return f"{instant}Z block {done.block_number}: {type(act).__name__}{token} {text}"
