"""The dashboard of scripts/deploy/grafana: it is what the code builds, and promtool accepts its queries."""

import json
import re
from pathlib import Path

import pytest

from scripts.deploy.dashboard import FILE, METRICS, ROWS, Panel, build
from tests.support.promtool import promtool

PANELS = [panel for panels in ROWS.values() for panel in panels]
OF_EVERY_TARGET = {"chain", "instance", "le"}


def test_the_file_is_what_the_code_builds() -> None:
    assert FILE.read_text() == build(), "write it again: python -m scripts.deploy.dashboard"


def test_no_panel_lies_upon_another() -> None:
    places = [panel["gridPos"] for panel in json.loads(FILE.read_text())["panels"]]
    cells = [
        (place["x"] + column, place["y"] + line)
        for place in places
        for column in range(place["w"])
        for line in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_the_metrics_and_labels_of_a_panel_exist(panel: Panel) -> None:
    assert set(panel.metrics) <= set(METRICS)
    labels = OF_EVERY_TARGET.union(*(METRICS[name].labels for name in panel.metrics))
    for legend, expression in panel.queries.items():
        kept = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(", *", group)}
        matched = set(re.findall(r"[{,] *(\w+)=", expression)) - {"alertname", "alertstate"}
        assert kept | matched <= labels, expression
        assert set(re.findall(r"{{(\w+)}}", legend)) <= kept, "a label of the legend is summed up"


def test_promtool_accepts_the_queries(tmp_path: Path) -> None:
    expressions = [expression for panel in PANELS for expression in panel.queries.values()]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)
