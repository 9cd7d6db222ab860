"""The command of ./scripts/cluster: its options and its folder."""

import argparse
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.clustering.cluster import Trial, running_cluster
from scripts.clustering.services import PEOPLE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the trial and returns its exit status: 0 if nothing was lost, wrong or failed, else 1."""
    parser = argparse.ArgumentParser(
        prog="./scripts/cluster",
        description="Three PostgreSQL under Patroni, HAProxy, PgBouncer, two indexers and three servers of the API, on "
        "loopback. Its parts die in turn under a load of queries and subscriptions. Prints what was lost, what was "
        "served wrong, and how long reads and writes stood still.",
        epilog="Example: ./scripts/cluster --minutes 10",
    )
    parser.add_argument("--minutes", type=_minutes, default=2.0, help="how long parts die (2), at least each once")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the random choices")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="certindex-cluster-", ignore_cleanup_errors=True) as name:
        shutil.chown(name, PEOPLE)
        with running_cluster(Path(name), options.seed) as cluster:
            trial = Trial(cluster, options.seed)
            print(f"the cluster is up, seed {options.seed}", flush=True)
            trial.run(60 * options.minutes)
            return trial.compare()


def _minutes(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value):
        raise argparse.ArgumentTypeError(f'"{value}" is not a number of minutes. Example: --minutes 10')
    return float(value)


if __name__ == "__main__":
    sys.exit(main())
