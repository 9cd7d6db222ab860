"""The demo: one command shows the product, and Ctrl-C leaves no process behind."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from indexer.check.bundle import check
from tests.support.chain.devchain import REPOSITORY
from tests.support.fleet.stories import STORIES

pytestmark = pytest.mark.slow

StartDemo = Callable[..., "Demo"]
HAPPENED = re.compile(r"^\d\d:\d\d:\d\dZ block \d+: ", re.MULTILINE)


class Demo:
    """A running ./scripts/demo and what it has printed so far."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [REPOSITORY / "scripts" / "demo", "--devices", str(len(STORIES)), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: str, seconds: float = 200) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.printed, re.MULTILINE)):
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)
        return match

    def end(self, sent_signal: signal.Signals | None = None, seconds: float = 120) -> int:
        """Returns the exit status, after a signal if one is given."""
        if sent_signal is not None:
            self.process.send_signal(sent_signal)
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self._reader.join()

    @property
    def url(self) -> str:
        return self.wait_for(r"(http://\S+/graphql)$")[1]

    @property
    def queries(self) -> list[str]:
        """The queries that it proposes: the indented blocks."""
        self.wait_for("^Ctrl-C ends everything")
        blocks = re.findall(r"(?:^    .*\n)+", self.printed, re.MULTILINE)
        return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.printed += line


@pytest.fixture
def demo() -> Iterator[StartDemo]:
    started: list[Demo] = []

    def start(*options: str) -> Demo:
        started.append(Demo(*options))
        return started[-1]

    yield start
    for demo in started:
        demo.end(signal.SIGTERM)


def test_the_demo_answers_lives_and_leaves_nothing_behind(demo: StartDemo, database_url: str) -> None:
    running = demo("--port", "0", "--database", database_url)
    explorer = running.wait_for(r"^The explorer.*(http://\S+/)$")[1]
    assert "Is this device genuine?" in urllib.request.urlopen(explorer, timeout=60).read().decode()
    answers = [ask(running.url, query) for query in running.queries]
    assert [answer["device"]["tokenDID"] for answer in answers[:1]] != [None]
    assert len(answers) == 3
    assert answers[1]["inspectionFailed"]["totalCount"] > 0
    assert answers[2]["device"]["asOf"]["timestamp"] < "2100"
    before = ask(running.url, INDEXED)["_meta"]["chains"][0]["indexed"]["number"]
    running.wait_for(f"(?:{HAPPENED.pattern}(?:.*\n)+){{2}}")
    wait_until(lambda: ask(running.url, INDEXED)["_meta"]["chains"][0]["indexed"]["number"] > before)
    wait_until(lambda: check(bundle(running.url), {}).is_complete)
    children = descendants(running.process.pid)
    assert len(children) >= 2
    assert running.end(signal.SIGINT) == 0
    assert alive(children) == []


def test_a_still_demo_stands_still_and_ends_on_sigterm(demo: StartDemo, sqlite_url: str) -> None:
    running = demo("--port", "0", "--database", sqlite_url, "--still")
    running.wait_for("^The chain stands still")
    wait_until(lambda: check(bundle(running.url), {}).is_complete)
    time.sleep(4)
    assert not HAPPENED.search(running.printed)
    assert urllib.request.urlopen(running.url.replace("/graphql", "/readyz"), timeout=60).status == 200
    children = descendants(running.process.pid)
    assert running.end(signal.SIGTERM) == 0
    assert alive(children) == []


@pytest.mark.parametrize(("program", "name"), [("anvil", "the chain"), ("indexer", "the indexer and server")])
def test_a_dead_part_ends_the_demo_and_is_named(demo: StartDemo, sqlite_url: str, program: str, name: str) -> None:
    running = demo("--port", "0", "--database", sqlite_url)
    running.wait_for("^Ctrl-C ends everything")
    children = descendants(running.process.pid)
    victim = next(pid for pid in children if program in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    os.kill(victim, signal.SIGKILL)
    assert running.end() == 1
    assert f"demo: {name} ended with status -9" in running.printed
    assert alive(children) == []


def test_a_demo_killed_at_once_leaves_nothing_behind(demo: StartDemo, sqlite_url: str) -> None:
    running = demo("--port", "0", "--database", sqlite_url)
    running.wait_for("^Ctrl-C ends everything")
    children = descendants(running.process.pid)
    running.end(signal.SIGKILL)
    wait_until(lambda: alive(children) == [])


def test_a_demo_that_is_interrupted_while_it_sets_up_leaves_nothing_behind(demo: StartDemo, sqlite_url: str) -> None:
    running = demo("--port", "0", "--database", sqlite_url)
    running.wait_for("chain started")
    children = descendants(running.process.pid)
    assert running.end(signal.SIGINT) == 0
    assert alive(children) == []


def test_a_taken_port_is_reported_before_anything_starts(demo: StartDemo) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        running = demo("--port", str(port))
        assert running.end() == 2
    assert f"port {port} of 127.0.0.1 is taken" in running.printed
    assert "--port" in running.printed.split("Choose another")[1]
    assert "chain started" not in running.printed


def test_a_database_in_use_is_refused_and_left_alone(demo: StartDemo, sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE precious (id int)"))
    running = demo("--port", "0", "--database", sqlite_url)
    assert running.end() == 2
    assert f"--database {sqlite_url} holds 1 tables already" in running.printed
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    engine.dispose()
    assert tables == ["precious"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--port", "http"), '"http" is not a whole number from 0 to 65535'),
        (("--devices", "0"), '"0" is not a whole number from 1 to 100000'),
        (("--port", "0", "--database", "mysql://localhost/x"), "only SQLite and PostgreSQL are supported"),
        (("--port", "0", "--database", "postgresql://nobody:secret@127.0.0.1:1/none"), "cannot be used"),
    ],
)
def test_a_wrong_option_is_named(demo: StartDemo, options: tuple[str, ...], complaint: str) -> None:
    running = demo(*options)
    assert running.end() == 2
    assert complaint in running.printed
    assert "Traceback" not in running.printed
    assert "secret" not in running.printed


INDEXED = "{ _meta { chains { indexed { number } } } }"


def ask(url: str, query: str) -> dict[str, Any]:
    """Returns the data of an answer that has no errors."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error}: {error.read().decode()}") from error
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def bundle(url: str) -> bytes:
    """Returns the bundle of the first device."""
    did = ask(url, '{ device(by: {tokenId: "1"}) { tokenDID } }')["device"]["tokenDID"]
    with urllib.request.urlopen(url.replace("/graphql", f"/devices/{did}/bundle.json"), timeout=60) as response:
        data: bytes = response.read()
    return data


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    """Returns the descendants of a process, from /proc."""
    parents = {int(path.parent.name): parent_of(path) for path in Path("/proc").glob("[0-9]*/stat")}
    children = [child for child, parent in parents.items() if parent == pid]
    return children + [below for child in children for below in descendants(child)]


def parent_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(") ")[2].split()[1])
    except OSError:  # ended meanwhile
        return 0


def alive(pids: list[int]) -> list[int]:
    """Returns those that run; a zombie does not."""
    return [pid for pid in pids if state_of(pid) not in ("", "Z")]


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
    except OSError:
        return ""
