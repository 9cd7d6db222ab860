"""The examples of the page on agents run, and its table lists the tools."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from api.mcp.tools import TOOLS
from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.server import serving
from tests.support.databases import Kind
from tests.support.fleet import Fleet

PAGE = (REPOSITORY / "docs" / "guides" / "agents.md").read_text()
SITE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def address(fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    with serving(Settings(database_url=fleet_database("sqlite"))) as address:
        yield address


def example(language: str, address: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code).replace(SITE, address)


def test_the_program_prints_the_report(address: str, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("python", address), "agents.md", "exec"), {})
    counts = dict(line.split() for line in capsys.readouterr().out.splitlines())
    in_service = [device for device in fleet.world.devices.values() if device.end_of_life == "IN_SERVICE"]
    assert counts["IN_SERVICE"] == str(len(in_service))


def test_the_command_lists_a_device(address: str) -> None:
    done = subprocess.run(["sh", "-c", example("sh", address)], capture_output=True, check=True)
    answer = json.loads(json.loads(done.stdout)["result"]["content"][0]["text"])
    assert [device["endOfLife"]["status"] for device in answer["devices"]] == ["DISPOSED"]


def test_the_table_lists_the_tools() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(TOOLS)
