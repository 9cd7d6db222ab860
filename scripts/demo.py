"""The demo: a chain, a contract, a fleet with two years behind it, the indexer and the API, until Ctrl-C."""

import argparse
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import NoReturn

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from schema.program.settings import without_password
from schema.tables.database import DatabaseError, connect
from scripts.devchain import REPOSITORY
from scripts.fleet import Done, Fleet, start_chain
from scripts.fleet.acts import MintPallet
from scripts.fleet.names import DAY
from scripts.fleet.records import Device
from scripts.processes import Child

HOST = "127.0.0.1"
SERVER = "the indexer and server"
FOLDER = REPOSITORY / ".demo"
POLL_SECONDS = 1.0
EVENT_SECONDS = 3.0  # between two events of the living fleet
PATIENCE_SECONDS = 120.0  # for the first answer


class CannotStart(Exception):
    """The demo cannot be given what it needs; the message says what to do."""


class ChildDied(Exception):
    """A program that the demo lives on has ended."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM: time to go."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status: 0 after Ctrl-C, 1 if a part died, 2 if it could not start."""
    options = _options(arguments)
    _raise_on_signals()
    try:
        _run(options.port, options.devices, options.database, options.still)
    except Interrupted:
        _say("stopped")
        return 0
    except ChildDied as error:
        _say(str(error))
        return 1
    except (CannotStart, DatabaseError) as error:
        _say(str(error))
        return 2


def _run(port: int, devices: int, database_url: str | None, still: bool) -> NoReturn:
    """Start everything in order, then live. Whatever ends this, the children end too, the last one first."""
    _require_free(port)
    log_file = _fresh_file(port, "log")
    port = port or _free_port()
    database_url = _empty_database(database_url) if database_url else f"sqlite:///{_fresh_file(port, 'db')}"
    with log_file.open("w", buffering=1) as log, ExitStack() as children:
        now = int(time.time())
        chain = children.enter_context(start_chain(now))
        _say(f"chain started at {chain.url}")
        parts = {"the chain": chain.child}
        try:
            fleet = Fleet.build(chain, devices=devices, now=now, progress=_bar("two years of events on the chain"))
            _say(f"contract {fleet.contract.address}, {devices} devices, {sum(fleet.world.events.values())} events")
            server = Child(
                [sys.executable, "-m", "indexer", "run", "--serve"],
                environment=_settings(fleet, port, database_url),
                heard=lambda line: print(line, file=log),
            )
            children.callback(server.stop)
            parts[SERVER] = server
            _wait_until_ready(f"http://{HOST}:{port}", parts)
            _say(f"the log of indexer and server is {log_file}")
            _welcome(f"http://{HOST}:{port}", fleet, now, still)
            _live(fleet, parts, still)
        except (ConnectionError, HTTPException):
            time.sleep(0.5)  # a dying chain closes its connections before it is gone
            _require_alive(parts)
            raise


def _settings(fleet: Fleet, port: int, database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "RPC_URLS": fleet.chain.url,
        "CHAIN_ID": str(fleet.chain.chain_id),
        "PROFILE": "device_certificate",
        "CONTRACTS": f"certificate={fleet.contract.address}",
        "START_BLOCK": str(fleet.start_block),
        "POLL_INTERVAL": str(POLL_SECONDS),
        "HOST": HOST,
        "PORT": str(port),
    }


def _wait_until_ready(url: str, parts: dict[str, Child]) -> None:
    """Wait for /readyz, telling why it is not ready yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    told = ""
    while True:
        _require_alive(parts)
        reason = _not_ready(url)
        if reason is None:
            _say("indexed and ready")
            return
        if reason and reason != told:
            _say(told := reason)
        if time.monotonic() > deadline:
            last_words = parts[SERVER].last_words
            raise ChildDied(f"not ready after {PATIENCE_SECONDS:.0f} s: {reason}\n{last_words}")
        time.sleep(0.1)


def _not_ready(url: str) -> str | None:
    """Return None when ready, else why not, "" while nothing answers."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return None
    except urllib.error.HTTPError as answer:
        reasons = json.loads(answer.read()).get("reasons", [])
        return str(reasons[0]) if reasons else str(answer)
    except (urllib.error.URLError, OSError):
        return ""


def _live(fleet: Fleet, parts: dict[str, Child], still: bool) -> NoReturn:
    """Let something happen every few seconds, or nothing; look after the children."""
    happenings = fleet.live()
    next_event = time.monotonic()
    while True:
        _require_alive(parts)
        if not still and time.monotonic() >= next_event:
            print(_told(next(happenings)), flush=True)
            next_event += EVENT_SECONDS
        time.sleep(0.2)


def _welcome(url: str, fleet: Fleet, now: int, still: bool) -> None:
    print(f"\nGraphQL, with an explorer in the browser:  {url}/graphql\n")
    for number, (title, query) in enumerate(example_queries(fleet, now), start=1):
        print(f"{number}. {title}\n")
        print("\n".join(f"    {line}" for line in query.splitlines()) + "\n")
    print("The chain stands still." if still else "The fleet goes on living; each event is told here.")
    print("Ctrl-C ends everything.\n", flush=True)


def example_queries(fleet: Fleet, now: int) -> list[tuple[str, str]]:
    """Return titles and queries that show something in this fleet."""
    token = _eventful(fleet, now).token
    a_year_ago = datetime.fromtimestamp(now - 365 * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [(title, query % {"token": token, "then": a_year_ago}) for title, query in EXAMPLES]


EXAMPLES = (
    (
        "One device: what it is, who made it, who may use it",
        """{
  device(by: {tokenId: "%(token)s"}) {
    tokenDID owner address serialNumber imei { value valid } manufacturedAt provisionedAt
    manufacturer { name license { status } }
    hardwareLicense { model license { status } }
    firmware { version }
    authorizedUsers { totalCount nodes { organization user expiresAt } }
    endOfLife { status }
  }
}""",
    ),
    (
        "What fails in this fleet",
        """{
  inspectionFailed: devices(filterBy: {qualityInspection: {eq: FAIL}}) { totalCount nodes { tokenDID } }
  wrongImei: devices(filterBy: {imeiValid: {eq: FAIL}}) { totalCount nodes { imei { value } } }
  activeAfterItsEnd: devices(filterBy: {noActivityAfterEndOfLife: {eq: FAIL}}) {
    totalCount nodes { tokenDID endOfLife { status occurredAt } }
  }
}""",
    ),
    (
        "The same device a year ago",
        """{
  device(by: {tokenId: "%(token)s"}, asOf: {timestamp: "%(then)s"}) {
    asOf { number timestamp } owner firmware { version }
    manufacturer { name license { status } }
    authorizedUsers { totalCount nodes { organization } }
  }
}""",
    ),
)


def _eventful(fleet: Fleet, now: int) -> Device:
    """Return the device with the most users now among those that existed a year ago, in any case a device."""
    devices = list(fleet.world.devices.values())
    old = [device for device in devices if device.minted_at < now - 400 * DAY]
    return max(old or devices, key=lambda device: (len(device.users(now)), len(device.history)))


def _told(done: Done) -> str:
    """Return one line on an act: what was done, to which device."""
    act = done.act
    words = {name: getattr(act, name) for name in type(act).__slots__ if name not in ("at", "token", "drafts")}
    token = f" device {act.token}" if hasattr(act, "token") else ""
    if isinstance(act, MintPallet):
        words["devices"] = len(act.drafts)
    details = " ".join(f"{name}={value}" for name, value in words.items() if value not in (None, ""))
    instant = datetime.fromtimestamp(done.block_time, UTC).strftime("%H:%M:%S")
    return f"{instant}Z block {done.block_number}: {type(act).__name__}{token} {details}"


# What must be there first


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            way_out = f"Choose another: ./scripts/demo --port {port % 65535 + 1}"
            raise CannotStart(f"port {port} of {HOST} is taken ({error.strerror}). {way_out}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _fresh_file(port: int, kind: str) -> Path:
    """Return a file of this port's own that is not there yet. Port 0 has one that the latest demo takes."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"port-{port}.{kind}"
    for leftover in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        leftover.unlink(missing_ok=True)
    return file


def _empty_database(url: str) -> str:
    """Return the URL if its database is empty: every demo has a new chain, which an old index does not fit."""
    engine = connect(url)
    try:
        tables = inspect(engine).get_table_names()
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise CannotStart(f"--database {without_password(url)} does not answer: {reason}") from None
    finally:
        engine.dispose()
    if tables:
        way_out = "Name an empty one, or leave --database out for a fresh file."
        raise CannotStart(f"--database {without_password(url)} holds {len(tables)} tables already. {way_out}")
    return url


def _require_alive(parts: dict[str, Child]) -> None:
    for name, child in parts.items():
        if child.exit_status is not None:
            raise ChildDied(f"{name} ended with status {child.exit_status}. Its last words:\n{child.last_words}")


# Words and signals


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/demo",
        description="A chain with a fleet of devices, indexed and served over GraphQL. Ctrl-C ends all of it.",
        epilog="Example: ./scripts/demo --port 8080 --devices 50",
    )
    parser.add_argument(
        "--port", type=_number(0, 65535), default=8000, help="port to serve on; 0 is any free one (8000)"
    )
    parser.add_argument("--devices", type=_number(1, 100_000), default=200, help="how many devices to begin with (200)")
    parser.add_argument("--database", metavar="URL", help="an empty database instead of a fresh SQLite file in .demo/")
    parser.add_argument("--still", action="store_true", help="let nothing new happen")
    return parser.parse_args(arguments)


def _number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from {minimum} to {maximum}')
        return int(text)

    return parse


def _raise_on_signals() -> None:
    """Raise Interrupted at the first SIGINT or SIGTERM; later ones are ignored, the children are ending by then."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def _bar(title: str) -> Callable[[int, int], None]:
    """Return a progress report: a bar on a terminal, a line for each quarter elsewhere."""
    told = 0

    def show(done: int, planned: int) -> None:
        nonlocal told
        if sys.stderr.isatty():
            filled = 30 * done // planned
            end = "\n" if done == planned else ""
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {title}", end=end, file=sys.stderr, flush=True)
        elif (quarter := 4 * done // planned) > told:
            told = quarter
            _say(f"{title}: {25 * quarter} %")

    return show


if __name__ == "__main__":
    sys.exit(main())
