"""Each step of docs/guides/runbook.md works as written: its commands, requests, metrics, settings and log events."""

import json
import re
from pathlib import Path

import pytest

from api.delivery.metrics import METRICS as DELIVERY_METRICS
from api.delivery.settings import DeliverySettings
from api.http.metrics import METRICS as API_METRICS
from api.settings import Settings as ApiSettings
from indexer.__main__ import _parser
from indexer.observe.metrics import METRICS, WAITS_FOR
from indexer.settings import Settings
from indexer.store.timings import TRANSACTIONS
from scripts.documentation.tables import REPOSITORY
from tests.support.api.server import CLIENT, post, serving, with_one_device
from tests.support.certindex import Certindex
from tests.support.promtool import promtool

GUIDES = REPOSITORY / "docs/guides"
STEPS = sorted(set(re.findall(r"`([^`]+)`", (GUIDES / "runbook.md").read_text())))
ALL_METRICS = (*METRICS, *API_METRICS, *DELIVERY_METRICS)

COMMANDS = [step for step in STEPS if re.match("certindex( |-api)", step)]
REQUESTS = [step for step in STEPS if "{" in step and not step.startswith("certindex")]
EXPRESSIONS = [step for step in STEPS if "certindex_" in step]
WORDS = {
    *(name.upper() for kind in (Settings, ApiSettings, DeliverySettings) for name in kind.__dataclass_fields__),
    *(label for metric in ALL_METRICS for label in metric.labels),
    *WAITS_FOR,
    *TRANSACTIONS,
    *re.findall(r"`([^`|]+)`", (GUIDES / "operator.md").read_text().partition("| event | fields |")[2]),
}
"""Settings, labels and values of metrics, and events of the log."""

OF_OTHERS = {"psql", "sqlite3", "SELECT 1", "ANALYZE", "pg_locks", "kubectl get pods"}
TRIED_HERE = {"/readyz", "curl HOST:PORT/readyz", "systemctl status certindex-deliver"}


def test_every_step_is_of_a_kind_that_is_tried_here() -> None:
    assert set(STEPS) - {*COMMANDS, *REQUESTS, *EXPRESSIONS, *TRIED_HERE, *OF_OTHERS, *WORDS} == set()
    assert COMMANDS
    assert REQUESTS
    assert EXPRESSIONS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists(command: str) -> None:
    _parser().parse_args(command.split()[1:])


def test_the_commands_that_show_a_state_show_it(
    database_url: str, certindex: Certindex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_one_device(database_url)
    status = certindex("status", database_url=database_url)
    assert (status.status, "  writer  " in status.out) == (0, True), status.err
    file = tmp_path / "subscriptions.toml"
    file.write_text('[[subscription]]\nname = "acme"\nurl = "nats://127.0.0.1:4222"\n')
    monkeypatch.setenv("SUBSCRIPTIONS", str(file))
    delivered = certindex("deliver", "status", database_url=database_url)
    assert (delivered.status, "acme" in delivered.out) == (0, True), delivered.err


def test_the_requests_are_answered(sqlite_url: str) -> None:
    with serving(ApiSettings(database_url=with_one_device(sqlite_url))) as address:
        for request in REQUESTS:
            response = post(f"{address}/graphql", {"query": f"{{ {request} }}"})
            assert (response.status_code, response.json().get("errors")) == (200, None), request
        assert "chains" in CLIENT.get(f"{address}/readyz").json()
        assert CLIENT.get(f"{address}/healthz").text == "ok\n"


def test_prometheus_takes_the_expressions_and_their_labels_exist(tmp_path: Path) -> None:
    rules = [{"alert": f"Step{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "runbook", "rules": rules}]}))
    promtool("check", "rules", file)
    labels = {metric.name: metric.labels for metric in ALL_METRICS}
    for expression in EXPRESSIONS:
        (name,) = re.findall(r"certindex_[a-z_]+", expression)
        assert set(re.findall(r"(\w+)=", expression)) <= set(labels[name]), expression


def test_the_unit_exists() -> None:
    assert (REPOSITORY / "scripts/deploy/systemd/certindex-deliver.service").exists()
