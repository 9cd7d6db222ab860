"""Abusive requests are refused, and leave the server as fast and as small as before."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from tests.support.api.server import CLIENT, GRAPHQL_RESPONSE, JSON, with_one_device
from tests.support.chain.devchain import REPOSITORY

NORMAL = b'{"query": "{ device(by: {tokenId: 7}) { serialNumber history { nodes { kind } } } _meta { version } }"}'
PAGE = "devices(first: 100) { nodes { history(first: 100) { nodes { device { authorizedUsers { totalCount } } } } } }"
DOUBLING = " ".join(f"fragment F{i} on Device {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60))
FRAGMENTS = " ".join(f"fragment F{i} on Query {{ f{i}: __typename }}" for i in range(900))
CODES = {
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "MAX_COST_EXCEEDED",
    "MAX_DEPTH_EXCEEDED",
}
ABUSES: dict[str, str | bytes] = {
    "nested pages": "{ " + " ".join(f"a{i}: {PAGE}" for i in range(12)) + " }",
    "101 aliases": "{ " + " ".join(f"a{i}: device(by: {{tokenId: {i}}}) {{ id }}" for i in range(101)) + " }",
    "nested fields": "{ device(by: {tokenId: 7}) " + "{ mint { device " * 500 + "{ id }" + " } }" * 500 + " }",
    "open braces": "{ a " * 3_000,
    "nested lists": "{ nodes(ids: " + "[" * 3_000 + "]" * 3_000 + ") { id } }",
    "many tokens": "{ " + "__typename " * 80_000 + "}",
    "doubling fragments": "{ device(by: {tokenId: 7}) { ...F0 } } "
    + DOUBLING
    + " fragment F60 on Device { mint { id } }",
    "a fragment in itself": "{ device(by: {tokenId: 7}) { ...F } } fragment F on Device { mint { device { ...F } } }",
    "many directives": "{ __typename " + "@skip(if: false) " * 2_000 + "}",
    "many fields alike": "{ " + " ".join(f"devices(first: {i % 100}) {{ nodes {{ id }} }}" for i in range(800)) + " }",
    "many fragments": "{ " + " ".join(f"...F{i}" for i in range(900)) + " } " + FRAGMENTS,
    "101 ids": "{ nodes(ids: " + json.dumps(["x"] * 101) + ") { id } }",
    "nested filters": "{ devices(filterBy: " + "{not: " * 40 + "{}" + "}" * 40 + ") { totalCount } }",
    "a long string": '{ devices(filterBy: {tokenId: {eq: "' + "9" * 500_000 + '"}}) { totalCount } }',
    "a body of more than 1 MB": b'{"query": "{ __typename }", "x": "' + b"x" * 1_000_001 + b'"}',
    "bad UTF-8": b'{"query": "{ \xff\xfe }"}',
    "nested JSON": b'{"query": "{ __typename }", "variables": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "half a surrogate": b'{"query": "{ \\ud800 }"}',
    "no JSON": b"\x00" * 1000,
}
ROUNDS = 2
MOST_BYTES = 48_000_000
"""By which the server may be larger after further rounds: far less than it would keep of what was sent."""


class Server(NamedTuple):
    url: str
    pid: int

    def ask(self, body: bytes) -> httpx.Response:
        headers = {"content-type": JSON, "accept": GRAPHQL_RESPONSE}
        return CLIENT.post(f"{self.url}", content=body, headers=headers)

    def abuse(self) -> dict[str, tuple[int, str]]:
        """Returns status and code of the answer to each abuse."""
        refusals = {}
        for name, sent in ABUSES.items():
            answer = self.ask(sent if isinstance(sent, bytes) else json.dumps({"query": sent}).encode())
            refusals[name] = (answer.status_code, answer.json()["errors"][0]["extensions"]["code"])
        return refusals

    def seconds(self) -> float:
        """Returns how long the server works on 20 normal requests, whatever else the machine does."""
        began = self.worked()
        for _ in range(20):
            answer = self.ask(NORMAL)
            assert answer.json()["data"]["device"]["serialNumber"] == "SN-7"
        return self.worked() - began

    def worked(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def bytes(self) -> int:
        """Returns how much memory the server holds."""
        held = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert held is not None
        return 1024 * int(held[1])


@contextmanager
def process(database_url: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "api", "--database-url", database_url, "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        while "serving http" not in line:
            assert line, "the server ended"
            line = running.stderr.readline()
        yield Server(line.split()[-1], running.pid)
        running.terminate()


def test_abuse_is_refused_below_500_and_leaves_the_server_as_quick_and_as_small_as_before(sqlite_url: str) -> None:
    with process(with_one_device(sqlite_url)) as server:
        answers = server.abuse()
        before, seconds = server.bytes(), server.seconds()
        for _ in range(ROUNDS):
            assert server.abuse() == answers
        after = server.seconds()
        grown = server.bytes() - before
    assert {name: refusal for name, refusal in answers.items() if refusal[0] >= 500} == {}
    assert {code for _, code in answers.values()} <= CODES
    assert grown < MOST_BYTES
    assert after < 5 * seconds + 0.05
