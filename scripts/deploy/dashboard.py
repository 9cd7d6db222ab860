"""Writes the dashboard for Grafana: python -m scripts.deploy.dashboard"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueGraphMode, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from api.delivery.metrics import METRICS as DELIVERY_METRICS
from api.http.metrics import METRICS as API_METRICS
from indexer.observe.metrics import METRICS as INDEXER_METRICS
from scripts.documentation.tables import REPOSITORY

FILE = REPOSITORY / "scripts/deploy/grafana/certindex.json"
METRICS = {metric.name: metric for metric in (*INDEXER_METRICS, *API_METRICS, *DELIVERY_METRICS)}
SOURCE = DataSourceRef("prometheus", "${source}")
GREEN, RED = "green", "red"
WIDTH, HEIGHT = 8, 8
"""A third of Grafana's 24 columns, and the height of the panels beside it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over time. `queries` are expressions of PromQL by their legend; `{{chain}}` is a label's value."""

    title: str
    unit: str
    queries: Mapping[str, str]
    stacked: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in the queries. A histogram is named without what Prometheus appends for its series."""
        named = re.findall(r"\bcertindex_[a-z_]+", " ".join(self.queries.values()))
        return tuple(dict.fromkeys(re.sub("_(bucket|sum|count)$", "", name) for name in named))

    @property
    def description(self) -> str:
        return "\n\n".join(METRICS[name].help for name in self.metrics)


@dataclass(frozen=True, slots=True)
class Number(Panel):
    """A panel with the newest value. Those of `alarm` and above are red; if `falling`, those below it."""

    alarm: float = 1
    falling: bool = False


CHAIN = 'chain=~"$chain"'


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def most(metric: str, by: str = "chain", labels: str = CHAIN) -> str:
    return f"max by ({by}) ({metric}{{{labels}}})"


def quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    labels_kept = ", ".join(filter(None, ["le", by]))
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, labels_kept)})"


ROWS: Mapping[str, tuple[Panel, ...]] = {
    "Now": (
        Number("Alerts", "short", {"": 'count(ALERTS{alertname=~"Certindex.+", alertstate="firing"}) or vector(0)'}),
        Number("Writers", "short", {"chain {{chain}}": f"sum by (chain) (certindex_writing{{{CHAIN}}})"}, falling=True),
        Number("Blocks behind", "short", {"chain {{chain}}": most("certindex_behind_blocks")}, alarm=100),
        Number("Steps fail for", "s", {"chain {{chain}}": most("certindex_failing_seconds")}),
        Number(
            "Blocks that failed verification",
            "short",
            {
                "chain {{chain}}": "sum by (chain) "
                f'(certindex_unverified_blocks{{{CHAIN}, cause=~"CONTRADICTED|WRONGLY_STORED"}})'
                f" or 0 * {most('certindex_indexed_block')}"
            },
        ),
        Number(
            "Ranges on which providers disagree",
            "short",
            {"chain {{chain}}": most("certindex_disagreements", labels=f'{CHAIN}, state="open"')},
        ),
    ),
    "Indexer": (
        Panel(
            "Blocks",
            "short",
            {
                "head {{chain}}": most("certindex_head_block"),
                "indexed {{chain}}": most("certindex_indexed_block"),
                "verified {{chain}}": most("certindex_judged_block"),
                "final {{chain}}": most("certindex_finalized_block"),
            },
        ),
        Panel("Age of the newest block", "s", {"chain {{chain}}": most("certindex_behind_seconds")}),
        Panel(
            "Waits for",
            "percentunit",
            {
                "{{what}} ({{instance}})": "avg by (instance, what) "
                f"(avg_over_time(certindex_waits_for{{{CHAIN}}}[$__rate_interval]))"
            },
            stacked=True,
        ),
        Panel("Events per second", "ops", {"{{kind}}": rate("certindex_events_total", CHAIN, "kind")}, stacked=True),
        Panel("Steps per second", "ops", {"{{outcome}}": rate("certindex_steps_total", CHAIN, "outcome")}),
        Panel(
            "Reorgs",
            "short",
            {
                "blocks removed, chain {{chain}}": "sum by (chain) "
                f"(increase(certindex_reorg_blocks_sum{{{CHAIN}}}[$__rate_interval]))"
            },
        ),
        Panel(
            "Duration of steps",
            "s",
            {f"p{share * 100:.0f}": quantile(share, "certindex_step_seconds", CHAIN) for share in (0.5, 0.99)},
        ),
        Panel(
            "Duration of database transactions, p99",
            "s",
            {"{{transaction}}": quantile(0.99, "certindex_database_seconds", CHAIN, "transaction")},
        ),
        Panel(
            "Lease",
            "short",
            {
                "writes ({{instance}})": most("certindex_writing", "instance"),
                "standbys of chain {{chain}}": most("certindex_standbys"),
            },
        ),
    ),
    "Providers": (
        Panel("Requests per second", "reqps", {"{{host}}": rate("certindex_rpc_requests_total", CHAIN, "host")}),
        Panel(
            "Failed requests per second",
            "reqps",
            {"{{host}}: {{error}}": rate("certindex_rpc_errors_total", CHAIN, "host, error")},
        ),
        Panel(
            "Time until a provider responded, p99",
            "s",
            {"{{host}}": quantile(0.99, "certindex_rpc_seconds", CHAIN, "host")},
        ),
        Panel(
            "Blocks behind the head",
            "short",
            {
                "{{host}}": f"{most('certindex_head_block')} - on (chain) group_right "
                + most("certindex_rpc_head_block", "chain, host")
            },
        ),
        Panel("Set aside", "short", {"{{host}}": most("certindex_rpc_away", "host")}),
        Panel("Requests at a time", "short", {"{{host}}": f"sum by (host) (certindex_rpc_slots{{{CHAIN}}})"}),
    ),
    "API": (
        Panel("Requests per second", "reqps", {"{{route}}": rate("certindex_api_requests_total", "", "route")}, True),
        Panel(
            "Requests answered with 4xx and 5xx per second",
            "reqps",
            {"{{status}}": rate("certindex_api_requests_total", 'status=~"[45].."', "status")},
        ),
        Panel(
            "Duration of queries",
            "s",
            {
                f"p{share * 100:.0f}": quantile(share, "certindex_api_request_seconds", 'route="graphql"')
                for share in (0.5, 0.95, 0.99)
            },
        ),
        Panel("Errors in responses per second", "ops", {"{{code}}": rate("certindex_api_errors_total", "", "code")}),
        Panel(
            "Share of queries answered from the cache",
            "percentunit",
            {
                "hit": 'sum(rate(certindex_api_cache_total{result="hit"}[$__rate_interval]))'
                " / sum(rate(certindex_api_cache_total[$__rate_interval]))"
            },
        ),
        Panel(
            "Open connections",
            "short",
            {
                "requests": "sum(certindex_api_requests_in_progress)",
                "WebSockets and event streams": "sum(certindex_api_connections)",
                "subscriptions": "sum(certindex_api_subscriptions)",
                "downloads": "sum(certindex_api_downloads)",
            },
        ),
        Panel(
            "Wait for the database",
            "short",
            {"{{by}}": "sum by (by) (certindex_api_snapshots_waiting)"},
        ),
        Panel(
            "Duration of SQL statements",
            "s",
            {f"p{share * 100:.0f}": quantile(share, "certindex_api_statement_seconds", "") for share in (0.5, 0.99)},
        ),
        Panel(
            "Requests that graphql-core executed per second",
            "reqps",
            {"{{reason}}": rate("certindex_graphql_fallbacks_total", "", "reason")},
        ),
    ),
    "Delivery": (
        Panel(
            "Age of what is not delivered",
            "s",
            {"{{subscription}}": "max by (subscription) (certindex_delivery_lag_seconds)"},
        ),
        Panel(
            "Attempts per second",
            "ops",
            {"{{subscription}}: {{result}}": rate("certindex_delivery_attempts_total", "", "subscription, result")},
        ),
        Panel(
            "Attempts fail for",
            "s",
            {"{{subscription}}": "max by (subscription) (certindex_delivery_failing_seconds)"},
        ),
    ),
}
"""The panels by row, three or six beside each other."""


def build() -> str:
    """Returns the dashboard as JSON, as Grafana imports it."""
    builder = (
        dashboard.Dashboard("certindex")
        .uid("certindex")
        .description("Indexer, providers, API and delivery of certindex")
        .tags(["certindex"])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("chain")
            .label("Chain")
            .datasource(SOURCE)
            .query("label_values(certindex_writing, chain)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    ids = count(1)
    for title, panels in ROWS.items():
        builder = builder.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            builder = builder.with_panel(
                (_number(panel) if isinstance(panel, Number) else _series(panel)).id(next(ids))
            )
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _series(panel: Panel) -> timeseries.Panel:
    mode = StackingMode.NORMAL if panel.stacked else StackingMode.NONE
    builder = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .fill_opacity(30 if panel.stacked else 5)
        .stacking(common.StackingConfig().mode(mode))
    )
    for query in _queries(panel):
        builder = builder.with_target(query)
    return builder


def _number(panel: Number) -> stat.Panel:
    low, high = (RED, GREEN) if panel.falling else (GREEN, RED)
    steps = [Threshold(value=None, color=low), Threshold(value=panel.alarm, color=high)]
    builder = (
        stat.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(WIDTH // 2)
        .height(HEIGHT // 2)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
    )
    for query in _queries(panel):
        builder = builder.with_target(query)
    return builder


def _queries(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE).ref_id(chr(ord("A") + number))
        for number, (legend, expression) in enumerate(panel.queries.items())
    ]


if __name__ == "__main__":
    FILE.write_text(build())
