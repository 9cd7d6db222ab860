"""Who writes a chain. The lease keeps others waiting; what keeps them out is the fence of every commit.

A holder is taken for dead when its beat stands still for a while of our own clock, or at once when it was a process of
this machine that is gone. Clocks of other machines are never read.
"""

import os
import secrets
import socket
import time

from msgspec import Struct
from sqlalchemy import Engine, text

DEAD_AFTER_SECONDS = 5.0
BEAT_SECONDS = 1.0


class Holder(Struct, frozen=True):
    """Who holds a chain, as its row says."""

    writer: str | None
    beat: int
    epoch: int


class Lease:
    """This process's claim on a chain. `epoch` is set once it is ours."""

    def __init__(self, engine: Engine, chain_id: int) -> None:
        self.engine = engine
        self.chain_id = chain_id
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.epoch = -1
        self._seen: Holder | None = None
        self._seen_at = 0.0

    def try_acquire(self) -> Holder | None:
        """Takes the lease, or returns who holds it. To be called again and again: it watches the holder's beat."""
        holder = self._read()
        if holder != self._seen:
            self._seen, self._seen_at = holder, time.monotonic()
        stands_still = time.monotonic() - self._seen_at >= DEAD_AFTER_SECONDS
        if holder.writer is not None and not _is_gone(holder.writer) and not stands_still:
            return holder
        return None if self._take(holder) else self._read()

    def beat(self) -> None:
        """Shows others that we live."""
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    """UPDATE chain SET writer_beat = writer_beat + 1
                    WHERE chain_id = :chain_id AND writer_epoch = :epoch"""
                ),
                {"chain_id": self.chain_id, "epoch": self.epoch},
            )

    def release(self) -> None:
        """Lets the next writer begin at once."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE chain SET writer = NULL WHERE chain_id = :chain_id AND writer_epoch = :epoch"),
                {"chain_id": self.chain_id, "epoch": self.epoch},
            )

    def _read(self) -> Holder:
        with self.engine.begin() as connection:
            row = connection.execute(
                text("SELECT writer, writer_beat, writer_epoch FROM chain WHERE chain_id = :chain_id"),
                {"chain_id": self.chain_id},
            ).one()
        return Holder(*row)

    def _take(self, holder: Holder) -> bool:
        with self.engine.begin() as connection:
            taken = connection.execute(
                text(
                    """UPDATE chain SET writer = :name, writer_epoch = writer_epoch + 1, writer_beat = writer_beat + 1
                    WHERE chain_id = :chain_id AND writer_epoch = :epoch AND writer_beat = :beat"""
                ),
                {"name": self.name, "chain_id": self.chain_id, "epoch": holder.epoch, "beat": holder.beat},
            )
        if taken.rowcount == 1:
            self.epoch = holder.epoch + 1
        return taken.rowcount == 1


def _is_gone(writer: str) -> bool:
    """Tells whether the writer was a process of this machine that no longer runs."""
    host, _, rest = writer.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
