"""Runs the judges of the API: tools and clients that users pick, against the schema and the running service.

Prints one line a judge and ends with status 1 if one of them fails. `--only NAME` runs some of them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import Template

from scripts.judges.identity import serve_identity
from scripts.judges.stage import Stage, set_stage
from tests.support.chain.devchain import REPOSITORY

FOLDER = Path(__file__).parent
PATIENCE_SECONDS = 300
LAST_LINES = 60
TOOL = "node_modules/.bin"
LINTING = ("--config", f"{FOLDER}/eslint.config.js", "--format", f"{FOLDER}/eslint-format.js")
LINTED = ("schema", "tests/support/api", "scripts/judges/operations")
FUZZING = ("--mode", "positive", "--continue-on-failure", "--max-examples", "15", "--seed", "1")


@dataclass(frozen=True, slots=True)
class Judge:
    """A command, in which `$NAME` stands for a variable of the environment.

    `count` is a regular expression that finds the number of its checks in its output; fewer than `least` is a failure.
    `waits`: most of its time it waits for pages, so that it runs beside the others.
    """

    name: str
    command: tuple[str, ...]
    count: str
    what: str
    least: int = 1
    cwd: Path = FOLDER
    waits: bool = False


def client(name: str, script: str, what: str, least: int, *, waits: bool = False) -> Judge:
    """Returns a judge that runs a test file of `src/` with Node's test runner."""
    command = ("node", "--test", "--test-reporter=tap", f"build/js/src/{script}.js")
    return Judge(name, command, r"^# pass (\d+)$", what, least, waits=waits)


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
"""Judges of the schema and the operations. They also build what the clients run."""

CLIENTS = (
    client("graphql-http", "http", "audits of GraphQL over HTTP", 61),
    client("graphql-ws", "sockets", "ways to subscribe over WebSocket", 11),
    client("graphql-sse", "streams", "ways to subscribe by server-sent events", 9),
    client("graphql-request", "graphql-request", "ways to read pages and errors", 6),
    client("urql", "urql", "ways to page, cache, subscribe and persist", 9),
    client("apollo", "apollo", "ways to page, cache, subscribe and persist", 7),
    client("relay", "relay", "ways to page, refetch and subscribe", 3),
    client("credentials", "credentials", "ways to resolve and verify", 6),
    client("hyparquet", "parquet", "tables exported as Parquet", 6),
    Judge(
        "exports",
        ("python", "exported.py"),
        r"^ok  ",
        "files that DuckDB, Polars and Frictionless read",
        16,
    ),
    client("mcp", "mcp", "MCP scenarios and inspector calls", 6),
    client("standardwebhooks", "webhooks", "ways to deliver to webhooks", 5),
    client("chromium", "page", "features of the page at /graphql", 9),
    client("lighthouse", "lighthouse", "pages with 95 or more of 100", 8, waits=True),
    Judge(
        "schemathesis",
        ("python", "-m", "schemathesis.cli", "run", "$JUDGED_URL", "-c", "every_refusal_has_a_code", *FUZZING),
        r"(\d+) generated, \1 passed",
        "random queries",
        200,
        cwd=FOLDER / "build",
    ),
)
"""Judges of the running service."""

SDKS = (
    client("data-sdk", "dimo", "calls of DIMO's SDK for JavaScript", 9),
    Judge(
        "dimo-python-sdk",
        (f"{sys.prefix}/dimo-judges/bin/python", "dimo_sdk.py"),
        r"^ok  ",
        "calls of DIMO's SDK for Python",
        19,
    ),
)
"""Judges of `/query`: the SDKs that DIMO publishes. The one for Python is installed in an environment of its own."""

FILES = (
    Judge(
        "deploy",
        (f"{sys.prefix}/deploy-judges/bin/python", "deployed.py"),
        r"^ok  ",
        "checks of image, compose file and chart",
        10,
    ),
)
"""Judges of files, which need no service. They are installed in a virtual environment of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all judges and returns the exit status: 1 if one failed."""
    parser = argparse.ArgumentParser(prog="./scripts/conformance", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run only this judge of the service or of files, and the tools; may be repeated",
    )
    only = parser.parse_args(arguments).only
    names = [judge.name for judge in (*TOOLS, *FILES, *CLIENTS, *SDKS)]
    if unknown := set(only or ()) - set(names):
        parser.error(f"--only {', '.join(unknown)}: no such judge. The judges are {', '.join(names)}")
    (FOLDER / "build" / "relay").mkdir(parents=True, exist_ok=True)
    # for the output of relay-compiler
    (FOLDER / "build" / "relay" / "package.json").write_text('{"type": "commonjs"}\n')
    # the tools build what the clients run
    results = [_passes(judge, os.environ) for judge in TOOLS]
    files, clients, sdks = (
        [judge for judge in judges if not only or judge.name in only] for judges in (FILES, CLIENTS, SDKS)
    )
    if all(results):
        with tempfile.TemporaryDirectory() as folder:
            results += _judge_clients(clients, Path(folder)) + _judge_sdks(sdks, Path(folder))
    results += [_passes(judge, os.environ) for judge in files]
    total = len(TOOLS) + len(files) + len(clients) + len(sdks)
    print(f"{sum(results)} of {total} judges passed")
    return int(sum(results) < total)


def _judge_clients(judges: Sequence[Judge], folder: Path) -> list[bool]:
    if not judges:
        return []
    with set_stage(folder) as (stage, address), ThreadPoolExecutor() as beside:
        environment = _environment(stage, address)
        waiting = [beside.submit(_passes, judge, environment, stage.last_output) for judge in judges if judge.waits]
        results = [_passes(judge, environment, stage.last_output) for judge in judges if not judge.waits]
        return results + [judged.result() for judged in waiting]


def _judge_sdks(judges: Sequence[Judge], folder: Path) -> list[bool]:
    if not judges:
        return []
    with serve_identity(folder) as (url, api):
        environment = {**os.environ, "JUDGED_URL": url}
        return [_passes(judge, environment, lambda: api.last_output) for judge in judges]


def _environment(stage: Stage, address: str) -> dict[str, str]:
    """Returns the environment of the clients. The judges in Python are installed in a folder of their own."""
    return {
        **os.environ,
        "JUDGED_URL": stage.url,
        "JUDGED_DEVICES": str(stage.devices),
        "JUDGED_DATABASE": str(stage.database),
        "STAGE_URL": address,
        "PYTHONPATH": f"{sys.prefix}/judges{os.pathsep}{FOLDER}",
        "SCHEMATHESIS_HOOKS": "fuzz",
    }


def _passes(judge: Judge, environment: Mapping[str, str], last_output: Callable[[], str] = str) -> bool:
    """Runs one judge and prints its line. If it fails, prints its output, and the last output of what it judged."""
    began = time.monotonic()
    status, output = _run(judge, environment)
    count = _count(judge, output)
    passed = status == 0 and count >= judge.least
    verdict = "ok  " if passed else "FAIL"
    print(f"{verdict} {judge.name:18} {count:4} {judge.what:42} {time.monotonic() - began:6.1f} s", flush=True)
    if not passed:
        print("\n".join(output.splitlines()[-LAST_LINES:]), file=sys.stderr)
        ended = f"did not end in {PATIENCE_SECONDS} s" if status is None else f"ended with status {status}"
        print(f"{judge.name} {ended}; {count} of {judge.least} or more\n{last_output()}", file=sys.stderr)
    return passed


def _run(judge: Judge, environment: Mapping[str, str]) -> tuple[int | None, str]:
    """Returns the exit status of the judge, None if it did not end in time, and its output."""
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


def _count(judge: Judge, output: str) -> int:
    """Returns the number in the one match of `judge.count`, else the number of matches."""
    matches = re.findall(judge.count, output, re.MULTILINE)
    return int(matches[0]) if len(matches) == 1 and matches[0].isdigit() else len(matches)


if __name__ == "__main__":
    sys.exit(main())
