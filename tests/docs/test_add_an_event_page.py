"""The page on adding an event: its changes, made to a copy of the program, are all that a new event needs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.support.chain.devchain import REPOSITORY

PAGE = REPOSITORY / "docs" / "contributing" / "add-an-event.md"
FACTS, FOLD, TYPES = "schema/events.py", "indexer/fold/fold.py", "api/graphql/types/events.py"
RUN = """
import asyncio, json, sys
from schema.profile.model import load_profile
from tests.support.api.asking import Api
from tests.support.chain.fakechain import FakeNode, emitted_by
from tests.support.index.indexing import engine_of, index_afresh

url, profile = sys.argv[1:]
node = FakeNode()
node.mine(emitted_by("DeviceInstalled(uint256 indexed tokenId, string site, uint64 installedAt)", 7, "Depot", 60))
with engine_of(url) as engine:
    index_afresh(engine, node, profile=load_profile(profile))
query = '''{
  lifecycleEvents { nodes { kind eventTime ... on DeviceInstalled { site installedAt } } }
  __type(name: "LifecycleEventKind") { enumValues { name description } }
}'''
print(json.dumps(asyncio.run(Api(url).ask(query))))
"""


def blocks(language: str) -> list[str]:
    """Returns the blocks of code of the page in one language."""
    return [dedent(block) for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", PAGE.read_text(), re.M | re.S)]


def insert(path: Path, text: str, before: str) -> None:
    """Inserts text before the only place of another text in a file."""
    source = path.read_text()
    assert source.count(before) == 1, (path, before)
    path.write_text(source.replace(before, text + before))


def test_three_places_and_a_rule_are_all_that_a_new_event_needs(tmp_path: Path) -> None:
    fact, case, type_ = blocks("python")
    (rule,) = blocks("toml")
    for package in ("schema", "indexer", "api"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))

    insert(tmp_path / FACTS, f"\n{fact}\n", "\nDeviceFact = (")
    insert(tmp_path / FACTS, "    | DeviceInstalled\n", ")\n\n\n# Licenses that a registrar")
    insert(tmp_path / FACTS, "    DEVICE_INSTALLED = 40\n", "\n\n# Read from the declarations above")

    nothing_but_history = f"        {case.splitlines()[0].strip()}\n            pass\n"
    insert(tmp_path / FOLD, nothing_but_history, "        case DeviceBurned():")
    insert(tmp_path / FOLD, "    DeviceInstalled,\n", "    DeviceMinted,\n    DevicePaired,")

    insert(tmp_path / TYPES, f"{type_}\n\n", "EVENT_TYPES = tuple")

    profile = tmp_path / "site.toml"
    profile.write_text((REPOSITORY / "schema" / "profiles" / "device_certificate.toml").read_text() + "\n" + rule)
    answer = run_in(tmp_path, f"sqlite:///{tmp_path / 'site.db'}", str(profile))
    assert answer["lifecycleEvents"]["nodes"] == [
        {
            "kind": "DEVICE_INSTALLED",
            "eventTime": "1970-01-01T00:01:00Z",
            "site": "Depot",
            "installedAt": "1970-01-01T00:01:00Z",
        }
    ]
    kinds = {kind["name"]: kind["description"] for kind in answer["__type"]["enumValues"]}
    assert kinds["DEVICE_INSTALLED"] == "The device was installed at a site."


def run_in(folder: Path, *arguments: str) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Runs RUN with the packages of a folder, and the tests of the repository."""
    code = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(REPOSITORY)!r}]\n{RUN}"
    done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, list[dict[str, str]]]] = json.loads(done.stdout)
    return answer
