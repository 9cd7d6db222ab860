"""The container and compose file of scripts/deploy/container: what they name exists in the program."""

import re
import tomllib
from typing import Any

import yaml

from api.delivery.settings import DeliverySettings
from api.settings import Settings as ApiSettings
from indexer.settings import Settings
from scripts.benchmark.databases import TUNING
from scripts.documentation.tables import REPOSITORY

FOLDER = REPOSITORY / "scripts/deploy/container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
COMPOSE: Any = yaml.safe_load((FOLDER / "compose.yml").read_text())
PROJECT: Any = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
OF_LIBPQ = {"PGPASSWORD"}
PROGRAMS = ("indexer", "api", "deliver")


def names(settings: type[Any]) -> set[str]:
    return {name.upper() for name in settings.__dataclass_fields__}


def test_the_image_has_every_extra_of_users() -> None:
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', CONTAINERFILE)
    assert set(extras.split(",")) == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


def test_the_build_copies_what_exists_and_the_context_holds_that_alone() -> None:
    copied = [
        source for line in re.findall(r"^COPY (?!--)(.+)$", CONTAINERFILE, re.MULTILINE) for source in line.split()[:-1]
    ]
    context = (FOLDER / "Containerfile.dockerignore").read_text()
    assert sorted(re.findall(r"^!(.+)$", context, re.MULTILINE)) == sorted(copied)
    assert [source for source in copied if not (REPOSITORY / source).exists()] == []


def test_the_settings_of_image_and_services_exist() -> None:
    image = set(re.findall(r"\b([A-Z_]+)=", CONTAINERFILE)) - {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert image <= names(Settings) & names(ApiSettings)
    services = COMPOSE["services"]
    assert set(services["indexer"]["environment"]) <= names(Settings) | OF_LIBPQ
    assert set(services["deliver"]["environment"]) <= names(DeliverySettings) | OF_LIBPQ
    assert set(services["api"]["environment"]) <= names(ApiSettings) | OF_LIBPQ


def test_the_image_has_the_version_of_the_program() -> None:
    image = f"certindex:{PROJECT['version']}"
    assert f"-t {image} " in CONTAINERFILE
    assert {COMPOSE["services"][name]["image"] for name in PROGRAMS} == {image}


def test_a_service_writes_nothing_but_its_volume() -> None:
    for name in PROGRAMS:
        service = COMPOSE["services"][name]
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])


def test_the_compose_file_and_the_benchmark_set_the_server_as_the_documentation_recommends() -> None:
    guide = (REPOSITORY / "docs/guides/operator.md").read_text()
    block = next(block for block in re.findall(r"```ini\n(.+?)```", guide, re.DOTALL) if "shared_buffers" in block)
    recommended = dict(re.findall(r"^(\w+) = (\w+)", block, re.MULTILINE))
    command = dict(option.removeprefix("-c").split("=") for option in COMPOSE["services"]["postgres"]["command"][1:])
    benchmark = dict(option.split("=") for option in TUNING)
    assert set(recommended) == set(command)
    for name in set(recommended) - {"shared_buffers"}:  # a share of the memory
        assert recommended[name] == command[name] == benchmark[name]
