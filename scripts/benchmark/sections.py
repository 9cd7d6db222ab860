"""The sections of the benchmark. Each adds what it measured to the results."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import text

from scripts.benchmark.connection import call
from scripts.benchmark.databases import FOR_A_STANDBY, Databases, reading
from scripts.benchmark.exploring import Explored, explored
from scripts.benchmark.exporting import Exported, exported
from scripts.benchmark.fleets import write_fleet
from scripts.benchmark.following import Followed, Reorganized, follow, follower
from scripts.benchmark.growing import Grown, grow, grow_first
from scripts.benchmark.loading import CONNECTIONS
from scripts.benchmark.recording import SPARSE_STRIDE, Shape
from scripts.benchmark.recovery import Recovered, recover
from scripts.benchmark.runs import Backfill, Ceiling, Rewritten, backfill, ceiling, node, rebuild, work
from scripts.benchmark.serving import Memory, Served, Started, served
from scripts.benchmark.switching import Switched, switch
from scripts.benchmark.verification import Verification, verification
from tests.support.index.fleet import build_fleet, index_fleet

LATENCIES = (0.005, 0.05)
CAP_BLOCKS = 2_000
CAP_RESULTS = 10_000
VERIFIED_DEVICES = 200
FINALITY = 1_200
"""Blocks below the head that are not final while reorgs are measured: more than the deepest reorg."""

DEMO_PAGE_SECONDS, PAGE_SECONDS = 0.05, 0.3
"""What a page of the explorer may take over the demo fleet, and over larger ones."""


class Scale(msgspec.Struct, frozen=True):
    """How much is run. `seconds`: load for each query.

    `more_events`: events of a second, longer chain, and `grown_events` of a database that grows; 0 for none.
    `switched_events`: events of a database that is rebuilt beside its readers.
    """

    events: int
    blocks: int
    naive_events: int
    conditions: bool
    more_events: int
    devices: tuple[int, ...]
    seconds: float
    followed_blocks: int
    depths: tuple[int, ...]
    outage_seconds: float = 60.0
    grown_events: int = 0
    switched_events: int = 100_000
    connections: int = CONNECTIONS


USUAL = Scale(200_000, 20_000, 10_000, True, 0, (10_000, 100_000), 4.0, 200, (1, 64, 1_000))
QUICK = Scale(
    50_000, 5_000, 4_000, False, 0, (10_000,), 1.5, 50, (1, 64, 1_000), outage_seconds=20.0, switched_events=20_000
)
LONG = msgspec.structs.replace(
    USUAL,
    more_events=1_000_000,
    grown_events=10_000_000,
    switched_events=1_000_000,
    devices=(10_000, 100_000, 1_000_000),
)


class Results(msgspec.Struct):
    """All results of one run of the benchmark, with a description of the machine."""

    machine: str
    ceiling: Ceiling | None = None
    backfills: list[Backfill] = []
    rebuilds: list[Rewritten] = []
    growth: list[Grown] = []
    switches: list[Switched] = []
    follows: list[Followed] = []
    reorgs: list[Reorganized] = []
    recoveries: list[Recovered] = []
    starts: list[Started] = []
    served: list[Served] = []
    memory: list[Memory] = []
    exports: list[Exported] = []
    pages: list[Explored] = []
    verification: Verification | None = None


class Bench(msgspec.Struct):
    """A run: its results so far, its scale and its folders."""

    results: Results
    scale: Scale
    databases: Sequence[str]
    chains: Path
    scratch: Path


def measure_backfill(bench: Bench) -> None:
    """Measures the naive indexer, ours under all conditions, and rebuild."""
    scale, results = bench.scale, bench.results
    with node(bench.chains, events=scale.events, blocks=scale.blocks) as url:
        results.ceiling = ceiling(url, events=scale.events, blocks=scale.blocks)
        for kind in bench.databases:
            with Databases(kind, bench.scratch) as databases:
                _naive(bench, url, databases)
                for label, conditions in _conditions(scale):
                    _set(url, scale.blocks, conditions)
                    _backfill(bench, label, url, databases, scale.events, rewrite=label == "dense")
    if scale.conditions:
        _on_another_chain(bench, "sparse", scale.events, Shape.SPARSE)
    if scale.more_events:
        _on_another_chain(bench, "dense", scale.more_events, Shape.DENSE)


def measure_growth(bench: Bench) -> None:
    """Measures the parts of a first backfill, then those of a database with all indexes and the API after each."""
    scale = bench.scale
    for kind in bench.databases if scale.grown_events else ():
        with Databases(kind, bench.scratch) as databases:
            with databases.new() as url:
                _note_growth(bench, grow_first(url, databases, scale.grown_events))
            with databases.new() as url:
                _note_growth(bench, grow(url, databases, scale.grown_events, scale.seconds, scale.connections))


def _note_growth(bench: Bench, parts: Iterable[Grown]) -> None:
    for grown in parts:
        bench.results.growth.append(grown)
        cpu = f"{grown.cpu_an_event * 1e6:.0f} us of CPU each"
        _say(f"{grown.database}: grown to {grown.events:,} events, {grown.rate:,.0f} a second, {cpu}")


def measure_switch(bench: Bench) -> None:
    """Measures a rebuild beside the live tables, and the servers that read these meanwhile."""
    events = bench.scale.switched_events
    for kind in bench.databases:
        with Databases(kind, bench.scratch, tuning=FOR_A_STANDBY) as databases, databases.new() as database_url:
            _say(f"{kind}: rebuild --into, {events:,} events")
            bench.results.switches.append(switch(database_url, databases, events))


def measure_follow(bench: Bench) -> None:
    """Measures how soon the API returns new blocks and reorgs."""
    scale = bench.scale
    first = scale.blocks - scale.followed_blocks - len(scale.depths) - 1
    for kind in bench.databases:
        with (
            Databases(kind, bench.scratch) as databases,
            databases.new() as database_url,
            node(bench.chains, events=scale.events, blocks=scale.blocks) as url,
        ):
            _say(f"{kind}: follow, {scale.followed_blocks} blocks, reorgs of {', '.join(map(str, scale.depths))}")
            _set(url, first, {"finality": FINALITY})
            work("sync", url, database_url)
            with follower(url, database_url) as api_url:
                following = follow(url, api_url, kind, first=first, blocks=scale.followed_blocks, depths=scale.depths)
                followed, reorgs = asyncio.run(following)
            bench.results.follows.append(followed)
            bench.results.reorgs += reorgs


def measure_recovery(bench: Bench) -> None:
    """Measures how soon indexing goes on after an outage of the provider, and after a WebSocket went quiet."""
    scale = bench.scale
    first = scale.blocks // 2
    kind = bench.databases[0]
    with (
        Databases(kind, bench.scratch) as databases,
        databases.new() as database_url,
        node(bench.chains, events=scale.events, blocks=scale.blocks) as url,
    ):
        _say(f"{kind}: recovery, outages of {scale.outage_seconds:g} s")
        _set(url, first, {"finality": FINALITY})
        work("sync", url, database_url)
        recovering = recover(url, database_url, kind, first=first, outage_seconds=scale.outage_seconds)
        bench.results.recoveries = asyncio.run(recovering)


def measure_api(bench: Bench) -> None:
    """Measures the API on the chain's database, and on fleets of growing size, which are kept for later runs."""
    scale = bench.scale
    for kind in bench.databases:
        with Databases(kind, bench.scratch, bench.chains.with_name("fleets")) as databases:
            with (
                databases.new() as database_url,
                node(bench.chains, events=scale.events, blocks=scale.blocks) as url,
            ):
                work("sync", url, database_url)
                _serve(bench, kind, database_url, f"{scale.events:,} events")
            for devices in scale.devices:
                database_url = databases.kept(f"devices_{devices}", partial(write_fleet, devices=devices))
                _serve(bench, kind, database_url, f"{devices:,} devices")


def measure_exports(bench: Bench) -> None:
    """Measures the export of all devices of fleets of growing size, and a look-up of many keys."""
    for kind in bench.databases:
        with Databases(kind, bench.scratch, bench.chains.with_name("fleets")) as databases:
            for devices in bench.scale.devices:
                database_url = databases.kept(f"devices_{devices}", partial(write_fleet, devices=devices))
                _say(f"{kind}: exports of {devices:,} devices")
                bench.results.exports += exported(database_url, kind, _devices(database_url))


def measure_explorer(bench: Bench) -> None:
    """Measures the pages of the explorer on the demo fleet, and on fleets of growing size."""
    with build_fleet() as fleet:
        for kind in bench.databases:
            with Databases(kind, bench.scratch, bench.chains.with_name("fleets")) as databases:
                with databases.new() as database_url:
                    index_fleet(fleet, database_url)
                    _explore(bench, kind, database_url, DEMO_PAGE_SECONDS)
                for devices in bench.scale.devices:
                    database_url = databases.kept(f"devices_{devices}", partial(write_fleet, devices=devices))
                    _explore(bench, kind, database_url, PAGE_SECONDS)


def measure_verification(bench: Bench) -> None:
    """Measures `certindex verify` on a development chain."""
    _say(f"verification of a fleet of {VERIFIED_DEVICES} devices")
    bench.results.verification = verification(bench.scratch, devices=VERIFIED_DEVICES)


SECTIONS: Mapping[str, Callable[[Bench], None]] = {
    "backfill": measure_backfill,
    "growth": measure_growth,
    "switch": measure_switch,
    "follow": measure_follow,
    "recovery": measure_recovery,
    "api": measure_api,
    "exports": measure_exports,
    "explorer": measure_explorer,
    "verification": measure_verification,
}


def _conditions(scale: Scale) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields the label of each run, and how its provider behaves."""
    yield "dense", {}
    yield "one core", {}
    for latency in LATENCIES if scale.conditions else LATENCIES[-1:]:
        yield f"{latency * 1000:.0f} ms, {CAP_BLOCKS:,} blocks", {"latency": latency, "block_cap": CAP_BLOCKS}
    if scale.conditions:
        yield f"{CAP_RESULTS:,} results", {"result_cap": CAP_RESULTS}


def _naive(bench: Bench, url: str, databases: Databases) -> None:
    scale = bench.scale
    blocks = max(scale.blocks * scale.naive_events // scale.events, 1)
    _set(url, blocks, {})
    _say(f"{databases.kind}: the naive indexer, {blocks:,} blocks")
    with databases.new() as database_url:
        run = backfill("naive", url, database_url, databases, command="naive", blocks=blocks)
        bench.results.backfills.append(run)


def _on_another_chain(bench: Bench, label: str, events: int, shape: Shape) -> None:
    with node(bench.chains, events=events, blocks=bench.scale.blocks, shape=shape) as url:
        for kind in bench.databases:
            with Databases(kind, bench.scratch) as databases:
                stride = SPARSE_STRIDE if shape is Shape.SPARSE else 1
                rewrite = events == bench.scale.more_events
                _backfill(bench, label, url, databases, events, rewrite=rewrite, stride=stride)


def _backfill(
    bench: Bench, label: str, url: str, databases: Databases, events: int, *, rewrite: bool, stride: int = 1
) -> None:
    _say(f"{databases.kind}: backfill, {label}, {events:,} events")
    blocks = bench.scale.blocks
    limit = ceiling(url, events=events, blocks=blocks, stride=stride).all_a_second
    with databases.new() as database_url:
        run = backfill(label, url, database_url, databases, blocks=blocks, cores=1 if label == "one core" else 0)
        run.provider_rate = limit
        bench.results.backfills.append(run)
        if rewrite:
            _say(f"{databases.kind}: rebuild")
            bench.results.rebuilds.append(rebuild(database_url, databases.kind, run.events))


def _serve(bench: Bench, kind: str, database_url: str, size: str) -> None:
    _say(f"{kind}: the API on {size}")
    scale = bench.scale
    for measured in served(database_url, kind, _devices(database_url), scale.seconds, scale.connections):
        match measured:
            case Started():
                bench.results.starts.append(measured)
            case Served():
                bench.results.served.append(measured)
            case Memory():
                bench.results.memory.append(measured)


def _explore(bench: Bench, kind: str, database_url: str, most_seconds: float) -> None:
    devices = _devices(database_url)
    _say(f"{kind}: pages over {devices:,} devices")
    bench.results.pages += explored(database_url, kind, devices, most_seconds, bench.scale.seconds / 10)


def _devices(database_url: str) -> int:
    with reading(database_url) as connection:
        return int(connection.execute(text("SELECT count(*) FROM device")).scalar_one())


def _set(url: str, head: int, conditions: Mapping[str, float]) -> None:
    defaults = {"latency": 0.0, "block_cap": 0, "result_cap": 0, "finality": 64, "head": head}
    call(url, "bench_set", {**defaults, **conditions})


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)
