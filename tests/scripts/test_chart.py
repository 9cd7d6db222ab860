"""The chart of scripts/deploy/helm: what it names exists in the program and its image."""

import re
import tomllib
from typing import Any

import yaml

from api.delivery.settings import DeliverySettings
from api.settings import Settings as ApiSettings
from indexer.settings import Settings
from scripts.documentation.tables import REPOSITORY

CHART = REPOSITORY / "scripts/deploy/helm/certindex"
VALUES: Any = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = "".join(file.read_text() for file in sorted((CHART / "templates").iterdir()))
CONTAINERFILE = (REPOSITORY / "scripts/deploy/container/Containerfile").read_text()


def test_the_settings_of_the_values_exist() -> None:
    assert {name.lower() for name in VALUES["indexer"]["settings"]} <= set(Settings.__dataclass_fields__)
    (given,) = re.findall(r'\$file := dict "(\w+)"', TEMPLATES)
    delivering = {given, *VALUES["deliver"]["settings"]}
    assert {name.lower() for name in delivering} <= set(DeliverySettings.__dataclass_fields__)
    assert {name.lower() for name in VALUES["api"]["settings"]} <= set(ApiSettings.__dataclass_fields__)


def test_a_server_that_stops_has_the_time_that_it_takes() -> None:
    draining = int(VALUES["api"]["settings"]["DRAIN_SECONDS"])
    assert draining + ApiSettings().max_seconds + 2 < VALUES["api"]["terminationSeconds"]


def test_user_and_ports_are_those_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", CONTAINERFILE, re.MULTILINE)
    assert set(re.findall(r"(?:runAsUser|runAsGroup|fsGroup): (\d+)", TEMPLATES)) == {user}
    (ports,) = re.findall(r"^EXPOSE (.+)$", CONTAINERFILE, re.MULTILINE)
    assert set(re.findall(r"containerPort: (\d+)", TEMPLATES)) == set(ports.split())


def test_the_versions_are_those_of_the_program() -> None:
    chart: Any = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
