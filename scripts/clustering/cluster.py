"""One run: brings up the cluster, kills its parts in turn under load, and reports what was lost or stood still."""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg

from scripts.clustering.chain import LivingChain
from scripts.clustering.load import Copies, Readers
from scripts.clustering.part_logs import PartLogs
from scripts.clustering.services import DATABASE, Member, etcd, haproxy, pgbouncer
from scripts.processes import Child
from tests.support.index.indexing import engine_of, index_afresh, read_tables
from tests.support.processes import caught_up, free_ports, until
from tests.support.rpc.provider import indexers

MEMBERS, APIS, READERS, COPIES = 3, 3, 3, 2
BLOCK_SECONDS = 0.4
REORG_SHARE = 0.1
TURN_SECONDS = 15.0
"""How long a part stays away. The next one dies when all are back."""

PATIENCE = 120.0
"""How long the parts may take to be back after a turn, in seconds."""

WRITES_WITHIN, READS_WITHIN = 15.0, 2.0
"""The targets after the death of a primary, in seconds."""

BEFORE_FAILURE = 3.0
"""How long before a request failed its cause may have been printed, in seconds."""

DRAIN_SECONDS = "2"


class Cluster:
    """The running parts. `apis` and `indexers` are processes that may be replaced."""

    def __init__(self, folder: Path, chain: LivingChain, start_indexer: Callable[..., Child]) -> None:
        self.folder = folder
        self.chain = chain
        names = ("etcd", "write", "read", "api", "pooler")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.api_ports = free_ports(APIS)
        self.indexed: list[float] = []
        self.logs = PartLogs()
        self.children: list[Child] = [etcd(folder, self.ports["etcd"], self.logs.of("etcd"))]
        self.members = [
            Member(name, folder, self.ports["etcd"], self.logs.of(name))
            for name in (f"pg{number}" for number in range(MEMBERS))
        ]
        self.children.append(haproxy(folder, self.members, self.ports, self.api_ports, self.logs.of("haproxy")))
        self.start_pooler()
        until(lambda: self._members_of("replica") == MEMBERS - 1, "the replicas", *self.children)
        with psycopg.connect(self.url("write", "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        self._start_indexer = start_indexer
        self.indexers = [self.start_indexer(number) for number in range(2)]
        until(lambda: caught_up(self.url("write"), chain.node), "the index", *self.indexers)
        self.apis = [self.start_api(number) for number in range(APIS)]
        until(self.is_whole, "the servers", *self.apis)

    def url(self, port: str, database: str = DATABASE) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.ports[port]}/{database}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}"

    def start_indexer(self, number: int) -> Child:
        """Starts an indexer: the first writes through HAProxy, the second through PgBouncer before it."""
        url = self.url("write") if number == 0 else self.url("pooler")
        take = self.logs.of(f"indexer {number}")

        def read(line: str) -> None:
            self._note_step(line)
            take(line)

        return self._start_indexer(on_line=read, DATABASE_URL=url)

    def start_pooler(self) -> None:
        self.pooler = pgbouncer(self.folder, self.ports["pooler"], self.ports, self.logs.of("pooler"))

    def start_api(self, number: int) -> Child:
        """Starts a server: it reads through HAProxy, through PgBouncer, or from any of the members."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        urls = (
            self.url("read"),
            self.url("pooler", "replica"),
            f"postgresql://postgres@{hosts}/{DATABASE}?target_session_attrs=prefer-standby",
        )
        settings = {
            "DATABASE_URL": urls[number],
            "PORT": str(self.api_ports[number]),
            "DRAIN_SECONDS": DRAIN_SECONDS,
            "POLL_STALE_SECONDS": "30",
        }
        take = self.logs.of(f"api {number}")
        return Child([sys.executable, "-m", "api"], environment=os.environ | settings, on_line=take)

    def primary(self) -> Member:
        return self._wait_for("primary")

    def replica(self) -> Member:
        return self._wait_for("replica")

    def stop(self) -> None:
        for child in (*self.apis, self.pooler):
            child.kill()
        for member in self.members:
            member.resume()
            member.kill()
            member.unmount()
        for child in self.children:
            child.kill()

    def _wait_for(self, role: str) -> Member:
        until(lambda: self._members_of(role), f"a {role}")
        return next(member for member in self.members if member.has_role(role))

    def _members_of(self, role: str) -> int:
        return sum(member.has_role(role) for member in self.members)

    def is_whole(self) -> bool:
        """Returns whether all members run, and all servers of the API are ready."""
        with suppress(httpx.HTTPError):
            addresses = [f"http://127.0.0.1:{port}/readyz" for port in self.api_ports]
            are_ready = all(httpx.get(address).status_code == 200 for address in addresses)
            return are_ready and self._members_of("replica") == MEMBERS - 1
        return False

    def _note_step(self, line: str) -> None:
        if " indexed blocks=" in line:
            self.indexed.append(time.monotonic())


class Trial:
    """The deaths, the load meanwhile, and the comparison afterwards."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.readers = Readers(cluster.address, cluster.chain.devices, READERS)
        self.copies = Copies(cluster.address, COPIES)
        self.failures: list[str] = []
        self.turns = (
            ("the primary dies", self._kill_primary),
            ("servers of the API are restarted one after another", self._restart_apis),
            ("the indexer that writes dies", self._kill_indexer),
            ("a server of the API dies", self._kill_api),
            ("the primary is suspended, and goes on when another has taken over", self._pause_primary),
            ("a replica dies", self._kill_replica),
            ("the pooler is restarted", self._restart_pooler),
            ("the disk of the primary is full", self._fill_disk),
        )

    def run(self, seconds: float) -> None:
        """Lets parts die in turn for so long, at least each once."""
        began, turn = time.monotonic(), 0
        while time.monotonic() - began < seconds or turn < len(self.turns):
            name, act = self.turns[turn % len(self.turns)]
            turn += 1
            start = time.monotonic()
            restore = act()
            self._live(start + TURN_SECONDS)
            restore()
            self._wait_until_whole(name)
            self._report(name, start)

    def _wait_until_whole(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.cluster.is_whole():
            if time.monotonic() > deadline:
                outputs = "\n--\n".join(child.last_output for child in self.cluster.indexers)
                raise SystemExit(f"cluster: {PATIENCE:g} s after this turn not all parts run: {name}\n{outputs}")
            self._live(time.monotonic() + 1)

    def _live(self, until_time: float) -> None:
        """Lets the chain grow, with reorgs."""
        while time.monotonic() < until_time:
            self.cluster.chain.grow()
            if self.random.random() < REORG_SHARE:
                self.cluster.chain.reorg()
            time.sleep(BLOCK_SECONDS)

    def _report(self, name: str, start: float) -> None:
        now = time.monotonic()
        reads = longest_pause(self.readers.answered, start, now)
        writes = longest_pause(self.cluster.indexed, start, now)
        failed = [(instant, reason) for instant, reason in list(self.readers.failed) if instant >= start]
        reasons = Counter(reason for _, reason in failed)
        print(f"{name}: reads stood still for {reads.seconds:.1f} s, writes for {writes.seconds:.1f} s", end="")
        print(f"; {len(failed)} requests got no answer: {reasons.most_common(3)}" if failed else "", flush=True)
        for what, pause, limit in (("reads", reads, READS_WITHIN), ("writes", writes, WRITES_WITHIN)):
            if pause.seconds > limit:
                missed = f", missed: within {limit:g} s" if name == "the primary dies" else ""
                self._explain(f"{what} stood still from +{pause.begin - start:.1f} s on{missed}", pause)
        if failed:
            span = Pause(failed[0][0] - BEFORE_FAILURE, failed[-1][0])
            self._explain("requests got no answer", span, "api|haproxy")
        if failed and "one after another" in name:
            self.failures.append(f"{len(failed)} requests failed while servers were restarted: {dict(reasons)}")

    def _explain(self, what: str, pause: "Pause", of: str = "") -> None:
        """Prints the logs of the parts, if there are any."""
        lines = self.cluster.logs.between(*pause, of)
        if lines:
            print(f"  {what}. The logs of the parts:", *lines, sep="\n    ", flush=True)

    # What dies, each with what brings it back

    def _kill_primary(self) -> Callable[[], None]:
        member = self.cluster.primary()
        member.kill()
        return member.start

    def _kill_replica(self) -> Callable[[], None]:
        member = self.cluster.replica()
        member.kill()
        return member.start

    def _pause_primary(self) -> Callable[[], None]:
        member = self.cluster.primary()
        member.pause()
        return member.resume

    def _kill_indexer(self) -> Callable[[], None]:
        number = self._writing()
        self._end(self.cluster.indexers[number])

        def restore() -> None:
            self.cluster.indexers[number] = self.cluster.start_indexer(number)

        return restore

    def _kill_api(self) -> Callable[[], None]:
        number = self.random.randrange(APIS)
        self._end(self.cluster.apis[number])

        def restore() -> None:
            self.cluster.apis[number] = self.cluster.start_api(number)

        return restore

    def _restart_apis(self) -> Callable[[], None]:
        for number in range(APIS):
            os.kill(self.cluster.apis[number].pid, signal.SIGTERM)
            while self.cluster.apis[number].exit_status is None:
                self._live(time.monotonic() + BLOCK_SECONDS)
            self.cluster.apis[number] = self.cluster.start_api(number)
            while not self.cluster.is_whole():
                self._live(time.monotonic() + BLOCK_SECONDS)
            self._live(time.monotonic() + 2)  # the proxy sees it
        return lambda: None

    def _restart_pooler(self) -> Callable[[], None]:
        self.cluster.pooler.kill()
        self.cluster.start_pooler()
        return lambda: None

    def _fill_disk(self) -> Callable[[], None]:
        member = self.cluster.primary()
        member.fill_disk()
        return member.free_disk

    def _writing(self) -> int:
        with psycopg.connect(self.cluster.url("write")) as connection:
            row = connection.execute("SELECT writer FROM chain").fetchone()
        pids = [str(child.pid) for child in self.cluster.indexers]
        pid = (row[0] if row and row[0] else "::").split(":")[1]
        return pids.index(pid) if pid in pids else 0

    def _end(self, child: Child) -> None:
        child.kill()
        if "Traceback" in child.last_output:
            self.failures.append(child.last_output)

    # The comparison

    def compare(self) -> int:
        """Compares rows and copies with a new index of the chain. Returns the exit status."""
        self.readers.stop()
        cluster, node = self.cluster, self.cluster.chain.node
        until(lambda: caught_up(cluster.url("write"), node), "the head", *cluster.indexers)
        with engine_of(f"sqlite:///{cluster.folder / 'clean.db'}") as clean:
            expected = index_afresh(clean, node)
        with engine_of(cluster.url("write")) as engine:
            rows = read_tables(engine, node.chain_id)
        events = len(expected["event"])
        with suppress(AssertionError):
            until(lambda: all(len(copy) == events for copy in self.copies.events), "the copies")
        self.copies.stop()
        for child in (*cluster.indexers, *cluster.apis):
            if "Traceback" in child.last_output:
                self.failures.append(child.last_output)
        lost = [f"the rows of {name} differ" for name in expected if rows[name] != expected[name]]
        lost += [f"a copy has {len(copy)} of {events} events" for copy in self.copies.events if len(copy) != events]
        wrong = [*self.readers.wrong, *self.copies.wrong]
        counts = self.readers.counts + self.copies.counts
        print(f"chain: block {node.head.number}, {cluster.chain.reorgs} reorgs, {events} events")
        print("load: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        for name, problems in (("lost", lost), ("served wrong", wrong), ("failed", self.failures)):
            print(f"{name}: {len(problems) or 'nothing'}", *problems[:5], sep="\n  ")
        return 1 if lost or wrong or self.failures else 0


class Pause(NamedTuple):
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def longest_pause(moments: list[float], start: float, end: float) -> Pause:
    """Returns the longest time without a moment between start and end."""
    inside = [start, *(moment for moment in list(moments) if start < moment < end), end]
    return max((Pause(earlier, later) for earlier, later in pairwise(inside)), key=lambda pause: pause.seconds)


@contextmanager
def running_cluster(folder: Path, seed: int) -> Iterator[Cluster]:
    """Brings up a cluster, and ends all its processes with the block."""
    chain = LivingChain(seed)
    with chain.provider, indexers("", RPC_URLS=chain.provider.url) as start:
        cluster = Cluster(folder, chain, start)
        try:
            yield cluster
        finally:
            cluster.stop()
