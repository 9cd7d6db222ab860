"""What the judges test: a development chain with a fleet, its indexer, and the API in a process of its own.

The judges are other programs. They control the stage by POST to a second address: `/grow?blocks=2`, `/reorg?depth=2`
and `/restart`. Each is answered when it is done.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.credentials.keys import new_key
from scripts.processes import Child, free_port
from tests.support.fleet import Fleet, start_chain
from tests.support.fleet.names import SUCCEEDED, digest

HOST = "127.0.0.1"
DEVICES = 120
"""More than one page of the largest size."""

PATIENCE_SECONDS = 120.0


class Stage:
    """A chain, its indexer and its API. `url` is the GraphQL endpoint."""

    def __init__(self, fleet: Fleet, folder: Path, parts: ExitStack) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/graphql"
        self._fleet = fleet
        self.database = folder / "judged.db"
        self._random = Random(1)
        self._indexer = self._start("indexer", "run")
        parts.callback(lambda: self._indexer.stop())
        self._api = self._start("api")
        parts.callback(lambda: self._api.stop())
        self._wait("readyz")

    @property
    def devices(self) -> int:
        """How many devices were minted."""
        return len(self._fleet.world.devices)

    # What the judges control

    def grow(self, blocks: int = 1) -> dict[str, Any]:
        """Mines this many blocks with a firmware update in each. Returns the new head."""
        for _ in range(blocks):
            self._fleet.chain.request("eth_sendTransaction", self._update())
            self._fleet.chain.mine()
        return self._head()

    def reorg(self, depth: int = 1) -> dict[str, Any]:
        """Replaces the last blocks by others with other updates, and mines one more. Returns the new head."""
        self._fleet.chain.request("anvil_rollback", depth)
        return self.grow(depth + 1)

    def restart(self) -> dict[str, Any]:
        """Kills the API, as a crash would, and starts it again on the same port."""
        self._api.kill()
        self._api = self._start("api")
        self._wait("healthz")
        return self._head()

    def last_output(self) -> str:
        """Returns the last lines that indexer and API printed, to be shown when a judge fails."""
        return f"the indexer:\n{self._indexer.last_output}\nthe API:\n{self._api.last_output}"

    def _update(self) -> dict[str, Any]:
        in_service = [device for device in self._fleet.world.devices.values() if device.end_of_life == "IN_SERVICE"]
        device = self._random.choice(in_service)
        version = f"3.0.{self._random.randrange(10**9)}"
        arguments = (device.token, version, digest(version), SUCCEEDED, self._fleet.chain.timestamp())
        return self._fleet.contract.transaction("updateFirmware", *arguments, sender=str(device.owner))

    def _head(self) -> dict[str, Any]:
        block = self._fleet.chain.block()
        return {"number": str(int(block["number"], 16)), "hash": block["hash"]}

    def _start(self, module: str, *arguments: str) -> Child:
        program = {
            "DATABASE_URL": f"sqlite:///{self.database}",
            "POLL_INTERVAL": "0.2",
            "HOST": HOST,
            "PORT": str(self.port),
            "BASE_URL": f"http://{HOST}:{self.port}",
            "SIGNING_KEY": new_key(),
        }
        environment = os.environ | self._fleet.settings | program
        return Child([sys.executable, "-m", module, *arguments], environment=environment)

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(f"http://{HOST}:{self.port}/{path}"):
            for child in (self._indexer, self._api):
                if child.exit_status is not None:
                    raise RuntimeError(f"{' '.join(child.command)} ended:\n{child.last_output}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"/{path} did not answer 200 in {PATIENCE_SECONDS:.0f} s.\n{self.last_output()}")
            time.sleep(0.05)


@contextmanager
def set_stage(folder: Path) -> Iterator[tuple[Stage, str]]:
    """Starts everything, with the database in this folder. Yields the stage and the address that controls it."""
    now = int(time.time())
    with ExitStack() as parts:
        chain = parts.enter_context(start_chain(now))
        stage = Stage(Fleet.build(chain, devices=DEVICES, now=now), folder, parts)
        # a child ends with the thread that started it: one thread serves all requests
        server = HTTPServer((HOST, 0), _handler(stage))
        Thread(target=server.serve_forever, daemon=True).start()
        parts.callback(server.shutdown)
        yield stage, f"http://{HOST}:{server.server_port}"


def _handler(stage: Stage) -> type[BaseHTTPRequestHandler]:
    actions = {"/grow": stage.grow, "/reorg": stage.reorg, "/restart": stage.restart}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            target = urlsplit(self.path)
            numbers = {name: int(values[0]) for name, values in parse_qs(target.query).items()}
            try:
                self._answer(200, actions[target.path](**numbers))
            except Exception as error:
                self._answer(500, {"error": repr(error)})

        def _answer(self, status: int, answer: Mapping[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
