"""Runs the demo: starts the chain, the fleet, the indexer and the API, and goes on until interrupted."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.client import HTTPException
from typing import NoReturn

from schema.program.settings import shown_database
from scripts.demonstration.output import print_welcome, progress_bar, say, summary
from scripts.demonstration.requirements import HOST, fresh_file, require_empty, require_free
from scripts.processes import Child, free_port
from tests.support.fleet import Fleet, start_chain

SERVER = "the indexer and server"
POLL_SECONDS = 1.0
EVENT_SECONDS = 3.0
"""Between two events of the living fleet."""
QUICK_FINALITY = ("--slots-in-an-epoch", "1")
"""Two blocks above another make it final, so that the history can be proven at once."""
PATIENCE_SECONDS = 120.0
"""How long the demo waits for the first answer of /readyz."""


class ChildDied(Exception):
    """A part of the demo has ended."""


def run(port: int, devices: int, database_url: str | None, still: bool) -> NoReturn:
    """Starts every part in order, then lets the fleet live. At the end the parts are stopped in reverse order."""
    require_free(port)
    log_file = fresh_file(port, "log")
    port = port or free_port()
    if database_url:
        require_empty(database_url)
    else:
        database_url = f"sqlite:///{fresh_file(port, 'db')}"
    with log_file.open("w", buffering=1) as log, ExitStack() as children:
        now = int(time.time())
        chain = children.enter_context(start_chain(now, *QUICK_FINALITY))
        say(f"chain started at {chain.url}")
        parts = {"the chain": chain.child}
        try:
            progress = progress_bar("two years of events on the chain")
            fleet = Fleet.build(chain, devices=devices, now=now, progress=progress)
            fleet.finalize()
            say(f"contract {fleet.contract.address}, {devices} devices, {sum(fleet.world.events.values())} events")
            server = Child(
                [sys.executable, "-m", "indexer", "run", "--serve"],
                environment=_settings(fleet, port, database_url),
                on_line=lambda line: print(line, file=log),
            )
            children.callback(server.stop)
            parts[SERVER] = server
            _wait_until_ready(f"http://{HOST}:{port}", parts)
            say(f"the log of indexer and server is {log_file}")
            say(f"other commands read the database with DATABASE_URL={shown_database(database_url)}")
            print_welcome(f"http://{HOST}:{port}", fleet, now, still)
            _live(fleet, parts, still)
        except (ConnectionError, HTTPException):
            time.sleep(0.5)  # a dying chain closes its connections before it is gone
            _require_alive(parts)
            raise


def _settings(fleet: Fleet, port: int, database_url: str) -> dict[str, str]:
    program = {"DATABASE_URL": database_url, "POLL_INTERVAL": str(POLL_SECONDS), "HOST": HOST, "PORT": str(port)}
    return os.environ | fleet.settings | program


def _wait_until_ready(url: str, parts: dict[str, Child]) -> None:
    """Waits until /readyz returns 200; prints each reason why it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    printed = ""
    while True:
        _require_alive(parts)
        reason = _not_ready(url)
        if reason is None:
            say("indexed and ready")
            return
        if reason and reason != printed:
            say(printed := reason)
        if time.monotonic() > deadline:
            last_output = parts[SERVER].last_output
            raise ChildDied(f"not ready after {PATIENCE_SECONDS:.0f} s: {reason}\n{last_output}")
        time.sleep(0.1)


def _not_ready(url: str) -> str | None:
    """Returns None when the API is ready, else the first reason why not; "" while there is no answer."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return None
    except urllib.error.HTTPError as answer:
        reasons = json.loads(answer.read()).get("reasons", [])
        return str(reasons[0]) if reasons else str(answer)
    except (urllib.error.URLError, OSError):
        return ""


def _live(fleet: Fleet, parts: dict[str, Child], still: bool) -> NoReturn:
    """Carries out an act every few seconds, unless `still`. Raises ChildDied when a part has ended."""
    acts = fleet.live()
    next_event = time.monotonic()
    while True:
        _require_alive(parts)
        if not still and time.monotonic() >= next_event:
            print(summary(next(acts)), flush=True)
            fleet.finalize()
            next_event += EVENT_SECONDS
        time.sleep(0.2)


def _require_alive(parts: dict[str, Child]) -> None:
    for name, child in parts.items():
        if child.exit_status is not None:
            raise ChildDied(f"{name} ended with status {child.exit_status}. Its last words:\n{child.last_output}")
