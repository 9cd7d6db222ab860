"""The soak: two indexers on one database, before a chain that grows and reorgs and providers that misbehave.

One indexer after the other is killed or suspended, always to come back. In the end the rows must be those of an index
that nobody disturbed, and the events those that the chain has: nothing lost, nothing twice.
"""

import argparse
import asyncio
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, NoResultFound

from indexer.commands import common
from indexer.settings import Settings
from schema.tables.database import connect
from schema.tables.values import position
from schema.vocabulary import ALARMS
from scripts.devchain import Anvil
from scripts.processes import Child
from tests.support.chain.factory import Factory
from tests.support.chain.life import FINALITY, Life
from tests.support.index.indexing import read_tables
from tests.support.postgres import PostgresServer, plain_url
from tests.support.rpc.faultproxy import of_living_node
from tests.support.rpc.faults import LASTING, PASSING, unavailable
from tests.support.rpc.provider import Provider, indexers

CHAIN_ID = 31337
SPOILT = 0.05
"""The share of answers that a fault spoils."""
LOOKS = "3"
"""One fault in so many that leaves out a log may strike two looks alike; three, not in a lifetime."""
PATIENCE = 120.0
TICK = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and return its exit status: 0 when the rows are right, 1 when not."""
    options = _options(arguments)
    with _databases(options.postgresql) as (live, clean):
        return Soak(options.seed, live, clean).run(60 * options.minutes)


class Soak:
    """One run. What it did is in `did`, by kind."""

    def __init__(self, seed: int, live: str, clean: str) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.live = live
        self.clean = clean
        self.did: Counter[str] = Counter()
        self.indexers: list[Child] = []
        self._asleep: list[tuple[float, Child]] = []
        self._complaints: list[str] = []

    def run(self, seconds: float) -> int:
        """Let it storm for so many seconds, then compare."""
        with (
            Anvil("--slots-in-an-epoch", str(FINALITY // 2)) as anvil,
            Provider(of_living_node(anvil.url), seed=self.seed) as one,
            Provider(of_living_node(anvil.url), seed=self.seed + 1) as other,
        ):
            factory = Factory(anvil)
            life = Life(factory, self.seed)
            providers = (one, other)
            settings = {
                "CONTRACTS": f"certificate={factory.contract.address}",
                "RPC_URLS": f"{one.url},{other.url}",
                "LOOKS": LOOKS,
                "VERIFY": "on",
            }
            with indexers(self.live, **settings) as start:
                self.indexers = [self._start(start) for _ in range(2)]
                self._storm(seconds, life, providers, start)
                self._calm(life, providers)
            return self._compare(factory, providers)

    # The storm

    def _storm(self, seconds: float, life: Life, providers: Sequence[Provider], start: Callable[..., Child]) -> None:
        began = time.monotonic()
        due = {"reorg": 5.0, "weather": 0.0, "kill": 10.0, "suspension": 45.0, "word": 60.0}
        while (now := time.monotonic() - began) < seconds:
            life.go_on(self.random.randint(0, 2))
            self._wake(now)
            for what in [what for what, at in due.items() if now >= at]:
                match what:
                    case "reorg":
                        life.reorg(self.random.randint(1, FINALITY // 2))
                        self.did["reorgs of the chain"] += 1
                        due[what] = now + self.random.uniform(2, 6)
                    case "weather":
                        self._change_weather(providers)
                        due[what] = now + self.random.uniform(5, 15)
                    case "kill":
                        self._kill(start)
                        due[what] = now + self.random.uniform(10, 25)
                    case "suspension":
                        self._suspend(now)
                        due[what] = now + self.random.uniform(40, 80)
                    case _:
                        _say(
                            f"{now / 60:.0f} min: chain at block {life.chain.block_number}, {self._summary(providers)}"
                        )
                        due[what] = now + 60
            time.sleep(TICK)
        self._wake(float("inf"))

    def _change_weather(self, providers: Sequence[Provider]) -> None:
        """Let a share of all answers be spoilt; at times one provider fails for a while, in one way or altogether."""
        for provider in providers:
            provider.do(provider.proxy.injections.clear)
            provider.proxy.inject_one_of(PASSING, share=SPOILT)
        if self.random.random() < 0.5:
            self.random.choice(providers).proxy.inject(self.random.choice([unavailable, *(one for one, _ in LASTING)]))
            self.did["provider outages"] += 1

    def _kill(self, start: Callable[..., Child]) -> None:
        """Kill the writer, or now and then the standby, and start another indexer in its place."""
        index = self.random.randrange(2) if self.random.random() < 0.3 else self._writing()
        child = self.indexers[index]
        if any(child is asleep for _, asleep in self._asleep):
            return
        child.kill()
        self.did["kills"] += 1
        self._check(child)
        self.indexers[index] = self._start(start)

    def _suspend(self, now: float) -> None:
        """Suspend the writer until the standby has taken over."""
        child = self.indexers[self._writing()]
        os.kill(child.pid, signal.SIGSTOP)
        self.did["suspensions"] += 1
        self._asleep.append((now + self.random.uniform(3, 12), child))

    def _wake(self, now: float) -> None:
        for at, child in list(self._asleep):
            if now >= at:
                self._asleep.remove((at, child))
                os.kill(child.pid, signal.SIGCONT)

    def _writing(self) -> int:
        """Return which indexer writes; any, where none does."""
        try:
            writer = _one(self.live, "SELECT writer FROM chain")
        except (DBAPIError, NoResultFound):
            writer = None  # not even begun
        pids = [str(child.pid) for child in self.indexers]
        pid = (writer or "::").split(":")[1]
        return pids.index(pid) if pid in pids else self.random.randrange(2)

    def _start(self, start: Callable[..., Child]) -> Child:
        self.did["lives"] += 1
        return start(heard=self._hear)

    def _hear(self, line: str) -> None:
        for words, name in HEARD:
            if re.search(words, line):
                self.did[name] += 1

    def _check(self, child: Child) -> None:
        if "Traceback" in child.last_words:
            self._complaints.append(child.last_words)

    # The calm

    def _calm(self, life: Life, providers: Sequence[Provider]) -> None:
        """Let the providers be good, and the indexers catch up."""
        for provider in providers:
            provider.do(provider.proxy.injections.clear)
        deadline = time.monotonic() + PATIENCE
        while "0x" + bytes(_one(self.live, "SELECT indexed_hash FROM chain")).hex() != life.chain.block()["hash"]:
            if time.monotonic() > deadline:
                words = "\n--\n".join(child.last_words for child in self.indexers)
                raise SystemExit(f"soak: the head was not reached in {PATIENCE:g} s:\n{words}")
            time.sleep(TICK)
        for child in self.indexers:
            if child.exit_status is not None:
                self._complaints.append(f"an indexer ended by itself:\n{child.last_words}")
            child.stop()
            self._check(child)

    def _compare(self, factory: Factory, providers: Sequence[Provider]) -> int:
        settings = Settings(
            database_url=self.clean,
            rpc_urls=(factory.chain.url,),
            contracts=(("certificate", bytes.fromhex(factory.contract.address[2:])),),
        )
        asyncio.run(common.sync(settings))
        live, clean = (_tables(url) for url in (self.live, self.clean))
        self.did["changes of the writer"] = _one(self.live, "SELECT writer_epoch FROM chain") - 1
        stored = [row["position"] for row in live["event"]]
        logs = factory.chain.logs(factory.contract.address)
        on_chain = sorted(position(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs)
        print(self._summary(providers))
        print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(_struck(providers).items())))
        print(f"rows: live {_hash(live)}, clean {_hash(clean)}; events: {len(stored)}, on the chain {len(on_chain)}")
        complaints = list(self._complaints)
        complaints += [f"the rows of {name} differ" for name in live if live[name] != clean[name]]
        complaints += [] if stored == on_chain else ["the events are not those of the chain"]
        complaints += [f"alarm: {reason}" for reason in _alarms(self.live)]
        print(
            "\n".join(complaints) or "soak: the rows are those of an undisturbed index; nothing is lost, nothing twice"
        )
        return 1 if complaints else 0

    def _summary(self, providers: Sequence[Provider]) -> str:
        counts = self.did | Counter({"faults": _struck(providers).total()})
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


HEARD = (
    (r" indexed blocks=", "steps"),
    (r" rolled back ", "rollbacks"),
    (r" step failed", "failed steps"),
    (r"Another writer has", "writers fenced off"),
)


def _struck(providers: Sequence[Provider]) -> Counter[str]:
    return sum((provider.proxy.struck for provider in providers), Counter[str]())


def _one(database_url: str, statement: str) -> Any:
    """Return what one row has in one column. Raises DBAPIError, NoResultFound."""
    engine = connect(database_url, read_only=True)
    try:
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar_one()
    finally:
        engine.dispose()


def _tables(database_url: str) -> dict[str, list[dict[str, Any]]]:
    engine = connect(database_url)
    try:
        return read_tables(engine, CHAIN_ID)
    finally:
        engine.dispose()


def _alarms(database_url: str) -> list[str]:
    engine = connect(database_url)
    try:
        with engine.begin() as connection:
            found = connection.execute(
                text("SELECT reason FROM verification_failure WHERE cause >= :alarm"), {"alarm": min(ALARMS)}
            )
            return [str(reason) for (reason,) in found]
    finally:
        engine.dispose()


def _hash(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Return the hash of all rows, each table in the order of its key."""
    return sha256(repr(sorted(tables.items())).encode()).hexdigest()[:16]


@contextmanager
def _databases(postgresql: bool) -> Iterator[tuple[str, str]]:
    """Make two empty databases, for the indexers and for the clean index, that end with the block."""
    with tempfile.TemporaryDirectory(prefix="certindex-soak-") as folder:
        clean = f"sqlite:///{Path(folder) / 'clean.db'}"
        if not postgresql:
            yield f"sqlite:///{Path(folder) / 'live.db'}", clean
            return
        server = PostgresServer()
        try:
            name = f"certindex_soak_{secrets.token_hex(4)}"
            with psycopg.connect(plain_url(server.url), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            yield make_url(server.url).set(database=name).render_as_string(hide_password=False), clean
        finally:
            server.stop()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/soak",
        description="Two indexers on one database through faults, reorgs, kills and suspensions; compares all rows.",
        epilog="Example: ./scripts/soak 30 --postgresql",
    )
    parser.add_argument("minutes", type=_minutes, nargs="?", default=30.0, help="how long it lasts (30)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL; without it on SQLite")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what happens; any unless told")
    return parser.parse_args(arguments)


def _minutes(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value):
        raise argparse.ArgumentTypeError(f'"{value}" is no number of minutes. Example: ./scripts/soak 30')
    return float(value)


def _say(words: str) -> None:
    print(f"soak: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
