"""Measures the indexer and the API on a synthetic chain over real HTTP, and a naive indexer in the same run.

Prints a table, and writes it to .bench/results/ together with all figures as JSON and a plot. Chains and the databases
of the API are generated once and kept in .bench/. Compare ratios: the absolute figures depend on the machine and on
what else it runs. Without options the benchmark takes 15 minutes, with --quick 5. With --long it takes two hours, and
20 GB of disk for the growth to 10,000,000 events and 1,000,000 devices; with --only api --long a quarter of an hour
once the databases are kept, and compares the API with its targets.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scripts.benchmark.databases import KINDS
from scripts.benchmark.plot import plot
from scripts.benchmark.report import table
from scripts.benchmark.sections import LONG, QUICK, SECTIONS, USUAL, Bench, Results, Scale
from tests.support.chain.devchain import REPOSITORY

FOLDER = REPOSITORY / ".bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit status."""
    options = _options(arguments)
    results = Results(_machine())
    with tempfile.TemporaryDirectory(prefix="certindex-bench-") as scratch:
        bench = Bench(results, _scale(options), options.databases, options.folder / "chains", Path(scratch))
        for section in options.only:
            SECTIONS[section](bench)
    _write(options.folder / "results", results)
    return 0


def _write(folder: Path, results: Results) -> None:
    text = table(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    (folder / "bench.txt").write_text(text + "\n", encoding="utf-8")
    (folder / "bench.svg").write_text(plot(results), encoding="utf-8")
    print(f"\n{text}\n\nwritten: {', '.join(str(folder / f'bench.{end}') for end in ('json', 'txt', 'svg'))}")


def _scale(options: argparse.Namespace) -> Scale:
    scale: Scale = QUICK if options.quick else LONG if options.long else USUAL
    overrides = {name: getattr(options, name) for name in ("events", "blocks", "naive_events", "devices", "seconds")}
    return msgspec.structs.replace(scale, **{name: value for name, value in overrides.items() if value is not None})


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="a smaller chain and fewer runs")
    sizes.add_argument(
        "--long", action="store_true", help="also 1,000,000 and 10,000,000 events, and 1,000,000 devices"
    )
    parser.add_argument(
        "--only",
        type=_among(tuple(SECTIONS)),
        default=list(SECTIONS),
        help=f"some of {','.join(SECTIONS)}; ratios need backfill",
    )
    parser.add_argument(
        "--databases", type=_among(KINDS), default=list(KINDS), help=f"some of {','.join(KINDS)} (default: both)"
    )
    parser.add_argument("--events", type=_positive, help=f"events of the chain (default {USUAL.events:,})")
    parser.add_argument("--blocks", type=_positive, help=f"blocks of the chain (default {USUAL.blocks:,})")
    parser.add_argument(
        "--naive-events", type=_positive, help=f"events for the naive indexer (default {USUAL.naive_events:,})"
    )
    parser.add_argument(
        "--devices", type=_numbers, help="devices in the databases that the API serves, for example 10000,100000"
    )
    parser.add_argument("--seconds", type=float, help=f"seconds of load for each query (default {USUAL.seconds:g})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where chains and results are written")
    return parser.parse_args(arguments)


def _among(names: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if not set(chosen) <= set(names):
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of some of {', '.join(names)}")
        return chosen

    return read


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(number) for number in text.split(","))


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
