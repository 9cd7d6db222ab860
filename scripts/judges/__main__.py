"""The judges of the API: tools and clients that users pick, each on the running service, one line each.

Ends with status 1 if any of them is not content. `--only NAME` asks some of them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.judges.stage import set_stage

FOLDER = Path(__file__).parent
PATIENCE_SECONDS = 300
LAST_LINES = 60


@dataclass(frozen=True, slots=True)
class Judge:
    """A command, run in this folder. `count` finds in what it says how many checks it made, at least `least`."""

    name: str
    command: tuple[str, ...]
    count: str
    what: str
    least: int = 1


def client(name: str, script: str, what: str, least: int) -> Judge:
    """Returns a judge that is tests of `src/`, by Node's own test runner."""
    command = ("node", "--test", "--test-reporter=tap", f"build/js/src/{script}.js")
    return Judge(name, command, r"^# pass (\d+)$", what, least)


TOOLS = (
    Judge(
        "graphql-codegen",
        ("node_modules/.bin/graphql-codegen", "--config", "codegen.yml"),
        r"✔ (Generate) to",
        "schema",
    ),
    Judge(
        "tsc",
        ("node_modules/.bin/tsc", "--listFiles"),
        r"^.*/(?:src|build/graphql)/\w+\.ts$",
        "files typed by the schema",
    ),
)
"""They look at the schema and the operations, and make what the clients run on."""

CLIENTS = (
    client("graphql-http", "http", "audits of GraphQL over HTTP", 61),
    client("graphql-ws", "sockets", "ways to subscribe over WebSocket", 11),
    client("graphql-sse", "streams", "ways to subscribe by server-sent events", 9),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask all judges, in their order, and return the exit status."""
    parser = argparse.ArgumentParser(prog="./scripts/conformance", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="ask this judge; may be given several times")
    only = parser.parse_args(arguments).only
    names = [judge.name for judge in (*TOOLS, *CLIENTS)]
    if unknown := set(only or ()) - set(names):
        parser.error(f"--only {', '.join(unknown)}: no such judge. There are {', '.join(names)}")
    # what the clients run on is made by the tools
    verdicts = [_is_content(judge, os.environ) for judge in TOOLS]
    chosen = [judge for judge in CLIENTS if not only or judge.name in only]
    if all(verdicts) and chosen:
        with tempfile.TemporaryDirectory() as folder, set_stage(Path(folder)) as (stage, address):
            environment = {**os.environ, "JUDGED_URL": stage.url, "STAGE_URL": address}
            for judge in chosen:
                verdicts.append(_is_content(judge, environment))
                if not verdicts[-1]:
                    print(stage.last_words(), file=sys.stderr)
    asked = len(TOOLS) + len(chosen)
    print(f"{sum(verdicts)} of {asked} judges are content")
    return int(sum(verdicts) < asked)


def _is_content(judge: Judge, environment: Mapping[str, str]) -> bool:
    """Ask one judge and print its line; what it said only where it is not content."""
    began = time.monotonic()
    done = subprocess.run(
        judge.command,
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PATIENCE_SECONDS,
    )
    count = _count(judge, done.stdout)
    content = done.returncode == 0 and count >= judge.least
    verdict = "ok  " if content else "FAIL"
    print(f"{verdict} {judge.name:18} {count:4} {judge.what:42} {time.monotonic() - began:6.1f} s", flush=True)
    if not content:
        print("\n".join(done.stdout.splitlines()[-LAST_LINES:]), file=sys.stderr)
        print(f"{judge.name} ended with status {done.returncode}; {count} of {judge.least} or more", file=sys.stderr)
    return content


def _count(judge: Judge, said: str) -> int:
    """Return the number that the judge told, or how often it told of something."""
    found = re.findall(judge.count, said, re.MULTILINE)
    return int(found[0]) if len(found) == 1 and found[0].isdigit() else len(found)


if __name__ == "__main__":
    sys.exit(main())
