"""One soak: a storm of faults, reorgs, kills and suspensions, then calm, then the comparison."""

import asyncio
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError, NoResultFound

from indexer.commands.sync import sync
from indexer.settings import Settings
from schema.tables.values import position
from scripts.processes import Child
from scripts.soaking.database import alarms, digest, scalar, tables
from tests.support.chain.devchain import Anvil
from tests.support.chain.factory import Factory
from tests.support.chain.life import FINALITY, Life
from tests.support.rpc.faultproxy import of_living_node
from tests.support.rpc.faults import LASTING, PASSING, unavailable
from tests.support.rpc.provider import Provider, indexers

SPOILT = 0.05
"""Share of responses that a fault spoils."""
LOOKS = "3"
"""A fault that leaves out a log can spoil two looks in a row in a soak of hours, but not three."""
PATIENCE = 120.0
"""How long the indexers may take to reach the head after the storm, in seconds."""
TICK = 0.2

FAILED_BY_DATABASE = "steps failed by the database"
"""On PostgreSQL none may. On SQLite, a writer that is suspended in a transaction locks the others out."""

ENDED_WHILE_SUSPENDED = "steps of suspended writers ended by the database"
"""PostgreSQL ends the transaction of a writer that is suspended in it for 8 s, so that another one can go on."""

COUNTED_LINES = (
    (r" indexed blocks=", "steps"),
    (r" rolled back ", "rollbacks"),
    (r" step failed(?!.*the database failed)", "steps failed by a provider"),
    (r" step failed.*the database failed(?!.*idle-in-transaction)", FAILED_BY_DATABASE),
    (r" step failed.*idle-in-transaction", ENDED_WHILE_SUSPENDED),
    (r"Another writer has", "writers fenced off"),
)


class Soak:
    """One run. `counts` counts what happened, by kind."""

    def __init__(self, seed: int, live: str, clean: str) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.live = live
        self.clean = clean
        self.counts: Counter[str] = Counter()
        self.indexers: list[Child] = []
        self._asleep: list[tuple[float, Child]] = []
        self._failures: list[str] = []

    def run(self, seconds: float) -> int:
        """Runs the storm for this many seconds, then compares. Returns the exit status: 1 if rows or events differ."""
        with (
            Anvil("--slots-in-an-epoch", str(FINALITY // 2)) as anvil,
            Provider(of_living_node(anvil.url), seed=self.seed) as first,
            Provider(of_living_node(anvil.url), seed=self.seed + 1) as second,
        ):
            factory = Factory(anvil)
            life = Life(factory, self.seed)
            providers = (first, second)
            settings = {
                "CONTRACTS": f"certificate={factory.contract.address}",
                "RPC_URLS": f"{first.url},{second.url}",
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
        due = {"reorg": 5.0, "weather": 0.0, "kill": 10.0, "suspension": 45.0, "report": 60.0}
        while (now := time.monotonic() - began) < seconds:
            life.go_on(self.random.randint(0, 2))
            self._wake(now)
            for what in [what for what, instant in due.items() if now >= instant]:
                match what:
                    case "reorg":
                        life.reorg(self.random.randint(1, FINALITY // 2))
                        self.counts["reorgs of the chain"] += 1
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
                        head = life.chain.block_number
                        _say(f"{now / 60:.0f} min: chain at block {head}, {self._summary(providers)}")
                        due[what] = now + 60
            time.sleep(TICK)
        self._wake(float("inf"))

    def _change_weather(self, providers: Sequence[Provider]) -> None:
        """Spoils a share of all responses. Half of the time, also lets one provider fail until the next change."""
        for provider in providers:
            provider.do(provider.proxy.injections.clear)
            provider.proxy.inject_one_of(PASSING, share=SPOILT)
        if self.random.random() < 0.5:
            self.random.choice(providers).proxy.inject(
                self.random.choice([unavailable, *(fault for fault, _ in LASTING)])
            )
            self.counts["provider outages"] += 1

    def _kill(self, start: Callable[..., Child]) -> None:
        """Kills the writer, in three of ten cases any indexer, and starts another in its place."""
        index = self.random.randrange(2) if self.random.random() < 0.3 else self._writing()
        child = self.indexers[index]
        if any(child is asleep for _, asleep in self._asleep):
            return
        child.kill()
        self.counts["kills"] += 1
        self._check(child)
        self.indexers[index] = self._start(start)

    def _suspend(self, now: float) -> None:
        """Suspends the writer for 3 to 12 seconds: long enough that the standby may take over."""
        child = self.indexers[self._writing()]
        os.kill(child.pid, signal.SIGSTOP)
        self.counts["suspensions"] += 1
        self._asleep.append((now + self.random.uniform(3, 12), child))

    def _wake(self, now: float) -> None:
        for wake_time, child in list(self._asleep):
            if now >= wake_time:
                self._asleep.remove((wake_time, child))
                os.kill(child.pid, signal.SIGCONT)

    def _writing(self) -> int:
        """Returns the index of the indexer that writes; a random one if none does."""
        try:
            writer = scalar(self.live, "SELECT writer FROM chain")
        except (DBAPIError, NoResultFound):
            writer = None  # no indexer has begun
        pids = [str(child.pid) for child in self.indexers]
        pid = (writer or "::").split(":")[1]
        return pids.index(pid) if pid in pids else self.random.randrange(2)

    def _start(self, start: Callable[..., Child]) -> Child:
        self.counts["lives"] += 1
        return start(on_line=self._count_line)

    def _count_line(self, line: str) -> None:
        names = [name for words, name in COUNTED_LINES if re.search(words, line)]
        self.counts.update(names)
        if " ERROR " in line or FAILED_BY_DATABASE in names:
            _say(line)

    def _check(self, child: Child) -> None:
        if "Traceback" in child.last_output:
            self._failures.append(child.last_output)

    # The calm

    def _calm(self, life: Life, providers: Sequence[Provider]) -> None:
        """Lets the providers answer correctly, waits until the indexers reach the head, and stops them."""
        for provider in providers:
            provider.do(provider.proxy.injections.clear)
        deadline = time.monotonic() + PATIENCE
        while "0x" + bytes(scalar(self.live, "SELECT indexed_hash FROM chain")).hex() != life.chain.block()["hash"]:
            if time.monotonic() > deadline:
                words = "\n--\n".join(child.last_output for child in self.indexers)
                raise SystemExit(f"soak: the head was not reached in {PATIENCE:g} s:\n{words}")
            time.sleep(TICK)
        for child in self.indexers:
            if child.exit_status is not None:
                self._failures.append(f"an indexer ended by itself:\n{child.last_output}")
            child.stop()
            self._check(child)

    def _compare(self, factory: Factory, providers: Sequence[Provider]) -> int:
        settings = Settings(
            database_url=self.clean,
            rpc_urls=(factory.chain.url,),
            contracts=(("certificate", bytes.fromhex(factory.contract.address[2:])),),
        )
        asyncio.run(sync(settings))
        live, clean = (tables(url) for url in (self.live, self.clean))
        self.counts["changes of the writer"] = scalar(self.live, "SELECT writer_epoch FROM chain") - 1
        stored = [row["position"] for row in live["event"]]
        logs = factory.chain.logs(factory.contract.address)
        on_chain = sorted(position(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs)
        print(self._summary(providers))
        print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(_struck(providers).items())))
        print(f"rows: live {digest(live)}, clean {digest(clean)}; events: {len(stored)}, on the chain {len(on_chain)}")
        failures = list(self._failures)
        failures += [f"the rows of {name} differ" for name in live if live[name] != clean[name]]
        failures += [] if stored == on_chain else ["the events are not those of the chain"]
        failures += [f"alarm: {reason}" for reason in alarms(self.live)]
        if (ended := self.counts[ENDED_WHILE_SUSPENDED]) > self.counts["suspensions"]:
            failures.append(f"{ended} {ENDED_WHILE_SUSPENDED}, more than were suspended")
        if self.counts[FAILED_BY_DATABASE] and not self.live.startswith("sqlite"):
            failures.append(f"{self.counts[FAILED_BY_DATABASE]} {FAILED_BY_DATABASE}")
        print(
            "\n".join(failures)
            or "soak: the rows equal those of an undisturbed index; no event is lost or stored twice"
        )
        return 1 if failures else 0

    def _summary(self, providers: Sequence[Provider]) -> str:
        totals = self.counts | Counter({"faults": _struck(providers).total()})
        return ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))


def _struck(providers: Sequence[Provider]) -> Counter[str]:
    return sum((provider.proxy.struck for provider in providers), Counter[str]())


def _say(words: str) -> None:
    print(f"soak: {words}", file=sys.stderr, flush=True)
