"""The benchmark: ./scripts/bench [--quick]. Prints a table, writes JSON and a plot into .bench/results/."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from scripts.benchmark.asking import call
from scripts.benchmark.databases import KINDS, Databases
from scripts.benchmark.recording import Shape
from scripts.benchmark.report import Results, plot, table
from scripts.benchmark.runs import backfill, ceiling, node, rebuild
from scripts.benchmark.verification import verification
from scripts.devchain import REPOSITORY

FOLDER = REPOSITORY / ".bench"
QUICK_EVENTS, QUICK_BLOCKS = 50_000, 5_000
EVENTS, BLOCKS = 200_000, 20_000
LATENCIES = (0.005, 0.05)
CAP_BLOCKS = 2_000
CAP_RESULTS = 10_000
VERIFIED_DEVICES = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit status."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="certindex-bench-") as scratch:
        results = _run(options, Path(scratch))
    print("\n" + table(results))
    place = FOLDER / "results"
    place.mkdir(parents=True, exist_ok=True)
    (place / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    (place / "bench.svg").write_text(plot(results), encoding="utf-8")
    print(f"\nwritten: {place / 'bench.json'}, {place / 'bench.svg'}")
    return 0


def _run(options: argparse.Namespace, scratch: Path) -> Results:
    events, blocks = options.events, options.blocks
    _say(f"a chain of {events:,} events in {blocks:,} blocks")
    with node(FOLDER / "chains", events=events, blocks=blocks) as url:
        results = Results(_machine(), ceiling(url, events=events, blocks=blocks))
        for kind in options.databases:
            with Databases(kind, scratch) as databases:
                _naive(url, databases, options, results)
                for label, conditions in _conditions(options):
                    call(
                        url,
                        "bench_set",
                        {"latency": 0.0, "block_cap": 0, "result_cap": 0, "head": blocks, **conditions},
                    )
                    _backfill(label, url, databases, blocks, results, rewrite=label == "dense")
    if not options.quick:
        with node(FOLDER / "chains", events=events, blocks=blocks, shape=Shape.SPARSE) as url:
            for kind in options.databases:
                with Databases(kind, scratch) as databases:
                    _backfill("sparse", url, databases, blocks, results, rewrite=False)
    _say(f"verification of a fleet of {VERIFIED_DEVICES} devices")
    results.verification = verification(scratch, devices=VERIFIED_DEVICES)
    return results


def _conditions(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields the provider's habits, with what each run is called."""
    yield "dense", {}
    if options.quick:
        yield (
            f"{LATENCIES[-1] * 1000:.0f} ms, {CAP_BLOCKS:,} blocks",
            {"latency": LATENCIES[-1], "block_cap": CAP_BLOCKS},
        )
        return
    for latency in LATENCIES:
        yield f"{latency * 1000:.0f} ms, {CAP_BLOCKS:,} blocks", {"latency": latency, "block_cap": CAP_BLOCKS}
    yield f"{CAP_RESULTS:,} results", {"result_cap": CAP_RESULTS}


def _naive(url: str, databases: Databases, options: argparse.Namespace, results: Results) -> None:
    blocks = max(options.blocks * options.naive_events // options.events, 1)
    call(url, "bench_set", {"head": blocks})
    _say(f"{databases.kind}: the naive indexer, {blocks:,} blocks")
    with databases.new() as database_url:
        results.backfills.append(backfill("naive", url, database_url, databases, command="naive", blocks=blocks))


def _backfill(label: str, url: str, databases: Databases, blocks: int, results: Results, *, rewrite: bool) -> None:
    _say(f"{databases.kind}: backfill, {label}")
    with databases.new() as database_url:
        run = backfill(label, url, database_url, databases, blocks=blocks)
        results.backfills.append(run)
        if rewrite:
            _say(f"{databases.kind}: rebuild")
            results.rebuilds.append(rebuild(database_url, databases.kind, run.events))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller chain and fewer runs: about two minutes")
    parser.add_argument("--events", type=int, help=f"events of the chain (default {EVENTS})")
    parser.add_argument("--blocks", type=int, help=f"blocks of the chain (default {BLOCKS})")
    parser.add_argument("--naive-events", type=int, default=5_000, help="events that the naive indexer is given")
    parser.add_argument("--databases", type=_kinds, default=list(KINDS), help=f"some of {','.join(KINDS)}")
    options = parser.parse_args(arguments)
    options.events = options.events or (QUICK_EVENTS if options.quick else EVENTS)
    options.blocks = options.blocks or (QUICK_BLOCKS if options.quick else BLOCKS)
    return options


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} names other databases than {', '.join(KINDS)}")
    return kinds


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
