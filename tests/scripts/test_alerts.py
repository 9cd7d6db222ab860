"""The alerts of scripts/deploy/prometheus/rules.yml: promtool judges each, and the runbook explains each."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api.delivery.metrics import METRICS as DELIVERY_METRICS
from api.http.metrics import METRICS as API_METRICS
from indexer.observe.metrics import METRICS
from scripts.documentation.tables import REPOSITORY
from tests.support.promtool import promtool

RULES = REPOSITORY / "scripts/deploy/prometheus/rules.yml"
RUNBOOK = REPOSITORY / "docs/guides/runbook.md"
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())

HEALTHY = {
    "certindex_indexed_block": "100+1x70",
    "certindex_writing": "1x70",
    "certindex_failing_seconds": "0x70",
    "certindex_behind_seconds": "12x70",
    "certindex_behind_blocks": "0x70",
    "certindex_backfilled": "1x70",
    "certindex_polled_seconds": "2x70",
    'certindex_waits_for{what="node"}': "0x70",
    'certindex_waits_for{what="database"}': "0x70",
    'certindex_unverified_blocks{cause="CONTRADICTED"}': "0x70",
    'certindex_disagreements{state="open"}': "0x70",
    'certindex_disagreements{state="resolved"}': "3x70",
    'certindex_rpc_away{host="https://rpc.example"}': "0x70",
    "certindex_socket_connected": "1x70",
    "certindex_rebuild_due": "0x70",
    'certindex_api_requests_total{route="graphql", status="200"}': "0+600x70",
    'certindex_api_snapshots_waiting{by="requests"}': "0x70",
    'certindex_delivery_stopped{subscription="erp"}': "0x70",
    'certindex_delivery_failing_seconds{subscription="erp"}': "0x70",
    'certindex_api_request_seconds_bucket{route="graphql", le="0.1"}': "0+600x70",
    'certindex_api_request_seconds_bucket{route="graphql", le="+Inf"}': "0+600x70",
}
"""One value a minute of each series, by name and labels, while nothing is wrong."""

FAULTS: Mapping[str, tuple[dict[str, str], str, str]] = {
    "CertindexIndexerAbsent": ({"certindex_indexed_block": "_x70"}, "1m", "3m"),
    "CertindexNoWriter": ({"certindex_writing": "0x70"}, "1m", "3m"),
    "CertindexStopped": ({'certindex_failing{stopped="yes", error="fork below a final block"}': "1x70"}, "0m", "2m"),
    "CertindexFailing": ({"certindex_failing_seconds": "0+60x70"}, "5m", "6m"),
    "CertindexBehind": ({"certindex_behind_seconds": "400x70", "certindex_behind_blocks": "33x70"}, "4m", "6m"),
    "CertindexWaitsForNode": (
        {'certindex_waits_for{what="node"}': "1x70", "certindex_polled_seconds": "0+60x70"},
        "4m",
        "7m",
    ),
    "CertindexWaitsForDatabase": ({'certindex_waits_for{what="database"}': "1x70"}, "4m", "6m"),
    "CertindexUnverifiedBlocks": ({'certindex_unverified_blocks{cause="CONTRADICTED"}': "0x4 2x66"}, "4m", "6m"),
    "CertindexProvidersDisagree": ({'certindex_disagreements{state="open"}': "0x4 1x66"}, "4m", "6m"),
    "CertindexProviderReturnedOtherLogs": ({'certindex_disagreements{state="resolved"}': "3x9 4x61"}, "8m", "12m"),
    "CertindexProviderAway": ({'certindex_rpc_away{host="https://rpc.example"}': "1x70"}, "59m", "61m"),
    "CertindexHeadsByPolling": ({"certindex_socket_connected": "0x70"}, "9m", "11m"),
    "CertindexRebuildDue": ({"certindex_rebuild_due": "1x70"}, "14m", "16m"),
    "CertindexApiErrors": ({'certindex_api_requests_total{route="graphql", status="503"}': "0+60x70"}, "4m", "8m"),
    "CertindexApiSlow": (
        {
            'certindex_api_request_seconds_bucket{route="graphql", le="0.1"}': "0+1x70",
            'certindex_api_request_seconds_bucket{route="graphql", le="2.5"}': "0+600x70",
        },
        "9m",
        "13m",
    ),
    "CertindexApiOverloaded": ({'certindex_api_snapshots_waiting{by="requests"}': "9x70"}, "0m", "2m"),
    "CertindexDeliveryAbsent": ({'certindex_delivery_stopped{subscription="erp"}': "0x10 _x60"}, "18m", "22m"),
    "CertindexDeliveryStopped": ({'certindex_delivery_stopped{subscription="erp"}': "1x70"}, "0m", "2m"),
    "CertindexDeliveryFailing": ({'certindex_delivery_failing_seconds{subscription="erp"}': "0+60x70"}, "59m", "62m"),
}
"""By alert: the series of a fault, an instant before the alert fires, and one after."""


def input_series(fault: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": _labeled(name), "values": values} for name, values in (HEALTHY | fault).items()]


def _labeled(series: str) -> str:
    name, _, labels = series.partition("{")
    program = 'instance="api:9101"' if "_api_" in name else 'chain="137", instance="indexer:9100"'
    return f"{name}{{{', '.join(filter(None, [program, labels.removesuffix('}')]))}}}"


def expected(alert: str, instant: str, count: int) -> dict[str, Any]:
    expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return {"expr": expression, "eval_time": instant, "exp_samples": [{"labels": "{}", "value": count}] * bool(count)}


def test_promtool_accepts_the_rules_and_each_fires_for_its_fault_and_not_before(tmp_path: Path) -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES)
    tests = [
        {
            "input_series": input_series(fault),
            "interval": "1m",
            "promql_expr_test": [expected(alert, before, 0), expected(alert, after, 1)],
        }
        for alert, (fault, before, after) in FAULTS.items()
    ]
    nothing = {"expr": "count(ALERTS)", "eval_time": "65m", "exp_samples": []}
    tests.append({"input_series": input_series({}), "interval": "1m", "promql_expr_test": [nothing]})
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)


def test_every_alert_has_a_fault_here_and_a_section_in_the_runbook() -> None:
    assert list(FAULTS) == ALERTS
    assert re.findall(r"^## (Certindex\w+)$", RUNBOOK.read_text(), re.MULTILINE) == ALERTS


@pytest.mark.parametrize("file", [RULES, RUNBOOK], ids=lambda file: file.name)
def test_the_metrics_that_are_named_exist(file: Path) -> None:
    names = {metric.name for metric in (*METRICS, *API_METRICS, *DELIVERY_METRICS)}
    named = {name.removesuffix("_bucket") for name in re.findall(r"\bcertindex_[a-z_]+", file.read_text())}
    assert named <= names
