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
from string import Template

from scripts.devchain import REPOSITORY
from scripts.judges.stage import Stage, set_stage

FOLDER = Path(__file__).parent
PATIENCE_SECONDS = 300
LAST_LINES = 60
TOOL = "node_modules/.bin"
LINTING = ("--config", f"{FOLDER}/eslint.config.js", "--format", f"{FOLDER}/eslint-format.js")
LINTED = ("schema", "tests/support/api", "scripts/judges/operations")
FUZZING = ("--mode", "positive", "--continue-on-failure", "--max-examples", "15", "--seed", "1")


@dataclass(frozen=True, slots=True)
class Judge:
    """A command, which may name variables of the environment.

    `count` finds in what it says how many checks it made, at least `least`.
    """

    name: str
    command: tuple[str, ...]
    count: str
    what: str
    least: int = 1
    cwd: Path = FOLDER


def client(name: str, script: str, what: str, least: int) -> Judge:
    """Returns a judge that is tests of `src/`, by Node's own test runner."""
    command = ("node", "--test", "--test-reporter=tap", f"build/js/src/{script}.js")
    return Judge(name, command, r"^# pass (\d+)$", what, least)


TOOLS = (
    Judge("graphql-codegen", (f"{TOOL}/graphql-codegen", "--config", "codegen.yml"), r"✔ (Generate) to", "schema"),
    Judge("tsc", (f"{TOOL}/tsc", "--listFiles"), r"^.*/(?:src|build/graphql)/\S+\.ts$", "files that use its types", 15),
    Judge("relay-compiler", (f"{TOOL}/relay-compiler",), r"(\d+) operation text", "documents of Relay", 9),
    Judge(
        "relay-compiler",
        ("node", "build/js/src/questions.js"),
        r"(\d+) normalization",
        "of the thirty questions",
        28,
    ),
    Judge(
        "@graphql-eslint",
        (f"{FOLDER}/{TOOL}/eslint", *LINTING, *LINTED),
        r"^(\d+) files read$",
        "files of schema and operations",
        5,
        cwd=REPOSITORY,
    ),
)
"""They look at the schema and the operations, and make what the clients run on."""

CLIENTS = (
    client("graphql-http", "http", "audits of GraphQL over HTTP", 61),
    client("graphql-ws", "sockets", "ways to subscribe over WebSocket", 11),
    client("graphql-sse", "streams", "ways to subscribe by server-sent events", 9),
    client("graphql-request", "graphql-request", "ways to read pages and errors", 6),
    client("urql", "urql", "ways to page, subscribe and persist", 7),
    client("apollo", "apollo", "ways to page, subscribe and persist", 5),
    client("relay", "relay", "ways to page, refetch and subscribe", 3),
    client("chromium", "page", "things that the page at /graphql can do", 8),
    Judge(
        "schemathesis",
        ("python", "-m", "schemathesis.cli", "run", "$JUDGED_URL", "-c", "every_refusal_has_a_code", *FUZZING),
        r"(\d+) generated, \1 passed",
        "queries that no person would write",
        200,
        cwd=FOLDER / "build",
    ),
)
"""They ask the running service."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask all judges, in their order, and return the exit status."""
    parser = argparse.ArgumentParser(prog="./scripts/conformance", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="ask this judge; may be given several times")
    only = parser.parse_args(arguments).only
    names = [judge.name for judge in (*TOOLS, *CLIENTS)]
    if unknown := set(only or ()) - set(names):
        parser.error(f"--only {', '.join(unknown)}: no such judge. There are {', '.join(names)}")
    (FOLDER / "build" / "relay").mkdir(parents=True, exist_ok=True)
    (FOLDER / "build" / "relay" / "package.json").write_text('{"type": "commonjs"}\n')  # of what relay-compiler makes
    # what the clients run on is made by the tools
    verdicts = [_is_content(judge, os.environ) for judge in TOOLS]
    chosen = [judge for judge in CLIENTS if not only or judge.name in only]
    if all(verdicts) and chosen:
        with tempfile.TemporaryDirectory() as folder, set_stage(Path(folder)) as (stage, address):
            environment = _environment(stage, address)
            for judge in chosen:
                verdicts.append(_is_content(judge, environment))
                if not verdicts[-1]:
                    print(stage.last_output(), file=sys.stderr)
    asked = len(TOOLS) + len(chosen)
    print(f"{sum(verdicts)} of {asked} judges are content")
    return int(sum(verdicts) < asked)


def _environment(stage: Stage, address: str) -> dict[str, str]:
    """Return what the clients learn of the service. The judges in Python are installed apart."""
    return {
        **os.environ,
        "JUDGED_URL": stage.url,
        "JUDGED_DEVICES": str(stage.devices),
        "STAGE_URL": address,
        "PYTHONPATH": f"{sys.prefix}/judges{os.pathsep}{FOLDER}",
        "SCHEMATHESIS_HOOKS": "fuzz",
    }


def _is_content(judge: Judge, environment: Mapping[str, str]) -> bool:
    """Ask one judge and print its line; what it said only where it is not content."""
    began = time.monotonic()
    status, said = _asked(judge, environment)
    count = _count(judge, said)
    content = status == 0 and count >= judge.least
    verdict = "ok  " if content else "FAIL"
    print(f"{verdict} {judge.name:18} {count:4} {judge.what:42} {time.monotonic() - began:6.1f} s", flush=True)
    if not content:
        print("\n".join(said.splitlines()[-LAST_LINES:]), file=sys.stderr)
        ended = f"did not end in {PATIENCE_SECONDS} s" if status is None else f"ended with status {status}"
        print(f"{judge.name} {ended}; {count} of {judge.least} or more", file=sys.stderr)
    return content


def _asked(judge: Judge, environment: Mapping[str, str]) -> tuple[int | None, str]:
    """Return how the judge ended, None where it did not, and what it said."""
    try:
        done = subprocess.run(
            [Template(part).safe_substitute(environment) for part in judge.command],
            cwd=judge.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def _count(judge: Judge, said: str) -> int:
    """Return the number that the judge told, or how often it told of something."""
    found = re.findall(judge.count, said, re.MULTILINE)
    return int(found[0]) if len(found) == 1 and found[0].isdigit() else len(found)


if __name__ == "__main__":
    sys.exit(main())
