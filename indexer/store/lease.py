"""The lease of a chain's writer. It makes other writers wait; the fence of every commit is what stops them.

A holder counts as dead if its beat does not change for a while of this process's own clock, or at once if it was a
process of this machine that no longer runs. Clocks of other machines are never read.
"""

import asyncio
import math
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

from msgspec import Struct
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from indexer.errors import Stop
from schema.tables.database import read_only_engine, separate_engine
from schema.tables.notices import STANDBY_SECONDS

DEAD_AFTER_SECONDS = 5.0
BEAT_SECONDS = 1.0
LOOK_SECONDS = 0.2
"""Pause between checks of a standby.

It takes over within BEAT_SECONDS + DEAD_AFTER_SECONDS + LOOK_SECONDS of the holder's death.
"""


class Holder(Struct, frozen=True):
    """The holder of a lease, from the chain's row."""

    writer: str | None
    beat: int
    epoch: int


class Lease:
    """This process's lease of a chain. `epoch` is set when the lease is taken."""

    def __init__(self, engine: Engine, chain_id: int) -> None:
        self.engine = separate_engine(engine)
        self.chain_id = chain_id
        self.name = f"{socket.gethostname()}:{os.getpid()}:{_machine()}-{secrets.token_hex(4)}"
        self.epoch = -1
        self._standing_since: int | None = None
        self._seen: Holder | None = None
        self._seen_at = 0.0

    async def acquire(self, *, wait: bool) -> None:
        """Takes the lease. With `wait`, stands by until the holder is gone; else raises Stop if the holder lives."""
        first = None
        shown_at = -math.inf
        try:
            while (holder := await asyncio.to_thread(self.try_acquire)) is not None:
                first = first or holder
                if not wait and holder != first:
                    raise Stop(f"Chain {self.chain_id} is being written by {holder.writer}. Stop that indexer first.")
                if wait and time.monotonic() - shown_at >= BEAT_SECONDS:
                    await asyncio.to_thread(self.stand_by)
                    shown_at = time.monotonic()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            with suppress(DBAPIError):  # readers forget a standby that stops showing itself
                await asyncio.to_thread(self.leave_line)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Takes the lease without standing by, and releases it at the end. Raises Stop if the holder lives."""
        await self.acquire(wait=False)
        try:
            yield
        finally:
            with suppress(DBAPIError):  # the next writer then waits until the beat has stood still
                await asyncio.to_thread(self.release)

    def try_acquire(self) -> Holder | None:
        """Takes the lease, or returns its holder. Call it repeatedly: it watches the holder's beat."""
        holder = self._read()
        if holder != self._seen:
            self._seen, self._seen_at = holder, time.monotonic()
        stands_still = time.monotonic() - self._seen_at >= DEAD_AFTER_SECONDS
        if holder.writer is not None and not _is_gone(holder.writer) and not stands_still:
            return holder
        return None if self._take(holder) else self._read()

    def take_over(self) -> None:
        """Takes the lease from its holder, who lives: the fence refuses its next commit, and it stands by."""
        while not self._take(self._read()):
            time.sleep(LOOK_SECONDS)

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Takes the lease from its holder, beats in a thread meanwhile, and releases it at the end."""
        self.take_over()
        ended = Event()
        beating = Thread(target=self._beat_until, args=(ended,), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(DBAPIError):  # the next writer then waits until the beat has stood still
                self.release()

    def _beat_until(self, ended: Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(DBAPIError):
                self.beat()

    def beat(self) -> None:
        """Shows other writers that this one is alive."""
        with self.engine.begin() as connection:
            show_life(connection, self.chain_id, self.epoch)

    def stand_by(self) -> None:
        """Shows readers that this process waits for the lease. Call it repeatedly."""
        now = int(time.time())
        self._standing_since = self._standing_since or now
        with self.engine.begin() as connection:
            connection.execute(
                text("DELETE FROM standby WHERE chain_id = :chain_id AND (name = :name OR seen_at < :forgotten)"),
                {"chain_id": self.chain_id, "name": self.name, "forgotten": now - STANDBY_SECONDS},
            )
            connection.execute(
                text("INSERT INTO standby (chain_id, name, since, seen_at) VALUES (:chain_id, :name, :since, :now)"),
                {"chain_id": self.chain_id, "name": self.name, "since": self._standing_since, "now": now},
            )

    def leave_line(self) -> None:
        """Removes this process from the standbys."""
        if self._standing_since is None:
            return
        self._standing_since = None
        with self.engine.begin() as connection:
            connection.execute(
                text("DELETE FROM standby WHERE chain_id = :chain_id AND name = :name"),
                {"chain_id": self.chain_id, "name": self.name},
            )

    def release(self) -> None:
        """Releases the lease: the next writer takes it at once."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE chain SET writer = NULL WHERE chain_id = :chain_id AND writer_epoch = :epoch"),
                {"chain_id": self.chain_id, "epoch": self.epoch},
            )

    def _read(self) -> Holder:
        with read_only_engine(self.engine).begin() as connection:
            row = connection.execute(
                text("SELECT writer, writer_beat, writer_epoch FROM chain WHERE chain_id = :chain_id"),
                {"chain_id": self.chain_id},
            ).one()
        return Holder(*row)

    def _take(self, holder: Holder) -> bool:
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # a row that is locked is being written: that is no silence
                free = "AND chain_id IN (SELECT chain_id FROM chain WHERE chain_id = :chain_id FOR UPDATE SKIP LOCKED)"
            else:
                free = ""
            taken = connection.execute(
                text(
                    f"""UPDATE chain SET writer = :name, writer_epoch = writer_epoch + 1, writer_beat = writer_beat + 1
                    WHERE chain_id = :chain_id AND writer_epoch = :epoch AND writer_beat = :beat {free}"""
                ),
                {"name": self.name, "chain_id": self.chain_id, "epoch": holder.epoch, "beat": holder.beat},
            )
        if taken.rowcount == 1:
            self.epoch = holder.epoch + 1
        return taken.rowcount == 1


def show_life(connection: Connection, chain_id: int, epoch: int) -> None:
    """Moves the beat of this epoch's writer."""
    connection.execute(
        text("UPDATE chain SET writer_beat = writer_beat + 1 WHERE chain_id = :chain_id AND writer_epoch = :epoch"),
        {"chain_id": chain_id, "epoch": epoch},
    )


def _is_gone(writer: str) -> bool:
    """Returns whether the writer was a process of this machine that no longer runs."""
    host, _, rest = writer.partition(":")
    pid, _, machine = rest.partition(":")
    if host != socket.gethostname() or not machine.startswith(f"{_machine()}-") or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@cache
def _machine() -> str:
    """Returns an id of the scope of process ids: two containers with one host name have different ones."""
    scope = []
    with suppress(OSError):  # of Linux
        scope = [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return sha256("".join(scope).encode()).hexdigest()[:8]
