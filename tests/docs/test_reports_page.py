"""The example of the page on reports writes the file that the page of the report links."""

import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, serving
from tests.support.databases import Kind

PAGE = (REPOSITORY / "docs" / "reference" / "reports.md").read_text()


def test_the_command_writes_the_file_that_the_page_links(fleet_database: Callable[[Kind], str], tmp_path: Path) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    with serving(Settings(database_url=fleet_database("sqlite"))) as address:
        command = command.replace("http://127.0.0.1:8000", address)
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)
        page = get_page(f"{address}/reports/software-updates?manufacturer=1")
        linked = CLIENT.get(f"{address}{page.link('/export/software-updates.csv')}").text
    written = (tmp_path / "software-updates.csv").read_text()
    assert written == linked
    rows = list(csv.DictReader(written.splitlines()))
    assert {row["device.manufacturer.tokenId"] for row in rows} == {"1"}
