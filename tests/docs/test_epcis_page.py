"""The example of the page on EPCIS does what it says, and its tables name what the endpoint reads."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from api.epcis.parameters import PARSERS
from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.epcis import VALIDATOR
from tests.support.api.server import serving
from tests.support.databases import Kind

PAGE = (REPOSITORY / "docs" / "reference" / "epcis.md").read_text()


def test_the_command_writes_events(fleet_database: Callable[[Kind], str], tmp_path: Path) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    with serving(Settings(database_url=fleet_database("sqlite"))) as address:
        command = command.replace("http://127.0.0.1:8000", address)
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    document = json.loads((tmp_path / "events.jsonld").read_text())
    VALIDATOR.validate(document)
    events = document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert {event["bizStep"] for event in events} == {"decommissioning", "destroying"}


def test_the_page_names_every_parameter() -> None:
    assert all(f"`{name}`" in PAGE for name in PARSERS)
