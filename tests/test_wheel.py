"""The wheel is complete: installed alone, outside the repository and without a network, both commands work."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from packaging.requirements import Requirement

from scripts.processes import Child
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.factory import Factory
from tests.support.processes import until

pytestmark = pytest.mark.slow

PACKAGES = ("api", "indexer", "schema")
BUILD = "import setuptools.build_meta as backend; print(backend.build_{kind}({target!r}))"


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment that holds the wheel and what it depends on, and a folder to run its commands in."""

    python: Path
    folder: Path

    def run(self, command: str, *arguments: str, **environment: str) -> str:
        """Returns what the command prints. Fails if the command does."""
        return execute([str(self.python.with_name(command)), *arguments], self.folder, environment)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an index would hold it."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    built = build("sdist", source, folder)
    shutil.unpack_archive(built, folder)
    unpacked = folder / built.name.removesuffix(".tar.gz")
    assert not (unpacked / "tests").exists()
    return build("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    environment = tmp_path_factory.mktemp("environment")
    execute([sys.executable, "-m", "venv", "--without-pip", str(environment)], environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    execute([*pip, "install", "--no-index", "--no-deps", str(wheel)], environment)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    [metadata] = packages.glob("certindex-*.dist-info")
    link_dependencies(Distribution.at(metadata), packages)
    execute([*pip, "check"], environment)
    return Installation(python, tmp_path_factory.mktemp("elsewhere"))


def test_the_wheel_holds_all_files_of_the_product_and_no_others(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # what only the tests of the schema's changes read
    assert names == files - {"schema/released.graphql", "schema/breaking.txt"}


def test_the_commands_print_their_version(installed: Installation) -> None:
    version = distribution("certindex").version
    assert installed.run("certindex", "--version") == f"certindex {version}\n"
    assert installed.run("certindex-api", "--version") == f"certindex-api {version}\n"


def test_the_schema_is_printed(installed: Installation) -> None:
    assert installed.run("certindex-api", "schema") == (REPOSITORY / "schema" / "schema.graphql").read_text()


def test_a_chain_is_indexed_proven_checked_and_served(installed: Installation, factory: Factory) -> None:
    token = factory.mint()
    factory.chain.mine(70)  # beyond the default finality depth, so that the mint can be verified
    database = {"DATABASE_URL": "sqlite:///fleet.db"}
    node = {"RPC_URLS": factory.chain.url, "CONTRACTS": f"certificate={factory.contract.address}"}

    installed.run("certindex", "sync", **database, **node)
    [chain] = json.loads(installed.run("certindex", "status", "--json", **database))
    assert chain["indexed_number"] == factory.chain.block_number
    installed.run("certindex", "rebuild", **database)
    installed.run("certindex", "verify", **database, **node)
    installed.run("certindex", "prove", str(token), "-o", "device.json", **database)
    installed.run("certindex", "check", "device.json")

    with serving(installed, installed.folder / "fleet.db") as address:
        query = "query($token: BigInt!) { device(by: {tokenId: $token}) { serialNumber } }"
        answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": {"token": str(token)}}, timeout=60)
        assert answer.json()["data"] == {"device": {"serialNumber": "SN-000001"}}
        page = httpx.get(f"{address}/graphql", headers={"Accept": "text/html"}, timeout=60)
        [script] = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
        assert httpx.get(f"{address}{script}", timeout=60).status_code == 200


@contextmanager
def serving(installed: Installation, database: Path) -> Iterator[str]:
    """Runs `certindex-api` on a free port while the block lasts; gives its address."""
    lines: list[str] = []
    command: list[str | Path] = [
        installed.python.with_name("certindex-api"),
        "--port",
        "0",
        "--database-url",
        f"sqlite:///{database}",
    ]
    child = Child(command, on_line=lines.append, environment=outside({}))
    try:
        until(lambda: any("http://" in line for line in lines), "the address", child)
        [address] = re.findall(r"http://[\w.:]+", "\n".join(lines))
        yield address
    finally:
        child.stop()


def build(kind: str, source: Path, target: Path) -> Path:
    return (
        target / execute([sys.executable, "-c", BUILD.format(kind=kind, target=str(target))], source).splitlines()[-1]
    )


def link_dependencies(package: Distribution, packages: Path) -> None:
    """Links what a distribution requires, and what that requires, from this environment; nothing else is visible."""
    linked: set[str] = set()
    pending = list(requirements(package, ""))
    while pending:
        requirement = pending.pop()
        for extra in ("", *requirement.extras):
            key = f"{requirement.name}[{extra}]"
            if key not in linked:
                linked.add(key)
                required = distribution(requirement.name)
                pending += requirements(required, extra)
                link(required, packages)


def requirements(package: Distribution, extra: str) -> Iterator[Requirement]:
    """Yields what a distribution requires on this machine, without an extra or for one."""
    for text in package.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None:
            included = not extra
        else:
            included = requirement.marker.evaluate({"extra": extra}) and (
                not extra or not requirement.marker.evaluate({"extra": ""})
            )
        if included:
            yield requirement


def link(package: Distribution, packages: Path) -> None:
    for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        target = packages / top
        if not target.exists():
            target.symlink_to(Path(str(package.locate_file(top))))


def execute(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=outside(environment or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a command to which nothing names the repository."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
