"""The examples of the page on credentials run."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import openvc.resolvers
import pytest

from api.credentials.keys import load_keys, new_key
from api.settings import Settings
from scripts.documentation.tables import REPOSITORY
from tests.support.api.server import CLIENT, serving
from tests.support.api.verifying import BASE_URL, ISSUER, Verifier
from tests.support.databases import Kind

PAGE = (REPOSITORY / "docs" / "reference" / "credentials.md").read_text()
SITE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def address(fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    settings = Settings(database_url=fleet_database("sqlite"), base_url=BASE_URL, signing_key=new_key())
    with serving(settings) as address:
        yield address


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_command_resolves_a_device(address: str) -> None:
    resolve, _, _ = examples("sh")
    done = subprocess.run(["sh", "-c", resolve.replace(SITE, address)], capture_output=True, check=True)
    assert json.loads(done.stdout)["didDocument"]["id"].startswith("did:erc721:31337:0x")


def test_the_command_makes_the_key(tmp_path: Path) -> None:
    _, set_up, _ = examples("sh")
    (command,) = (line for line in set_up.splitlines() if line.startswith("certindex-api keys"))
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    assert "SIGNING_KEY=./signing-key.pem" in set_up
    assert load_keys(str(tmp_path / "signing-key.pem"), ISSUER)


def test_the_program_verifies_a_credential(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "{ devices(first: 1, filterBy: {owner: {isNull: false}}) { nodes { tokenDID serialNumber } } }"
    (device,) = CLIENT.post(f"{address}/graphql", json={"query": query}).json()["data"]["devices"]["nodes"]
    verifier = Verifier(address)
    monkeypatch.chdir(tmp_path)
    _, _, save = examples("sh")
    subprocess.run(["sh", "-c", f"DID={device['tokenDID']}\n{save.replace(BASE_URL, address)}"], check=True)
    # the keys and the list are at BASE_URL, which the test serves elsewhere
    monkeypatch.setattr(openvc.verify, "default_resolver", lambda: verifier)
    monkeypatch.setattr(openvc.resolvers, "default_status_list_resolver", lambda: verifier.status_list)
    (program,) = examples("python")
    exec(compile(program, "credentials.md", "exec"), {})
    assert capsys.readouterr().out == f"{ISSUER} {device['serialNumber']}\n"
