"""A download: rows of a table, read chunk by chunk at one block, and sent as fast as the client reads.

No snapshot is open while the client reads, so that a slow client holds two chunks and nothing of the database. Every
chunk is read at the block of the first one; if a reorg removes it, the download is cut off. So it is if the client is
too slow. A file that was cut off has no end: HTTP shows that to the client, which resumes with `after`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sqlalchemy import Engine
from starlette.types import Receive, Scope, Send

from api.answering.admission import Admission
from api.answering.answers import refusing_failures
from api.exports.formats import FileWriter
from api.exports.table import Table
from api.graphql.errors import NotReady, Refusal
from api.graphql.paging.connections import RowList
from api.graphql.plan.write import Notation
from api.http.disconnects import disconnected
from api.http.rates import Client, RateLimited
from api.http.sending import ClientTooSlow, Sender
from api.queries.sql.pages import Place
from api.reading.snapshot import Snapshot, open_snapshot, read_again
from api.settings import Settings
from schema.program.logs import log_event

log = logging.getLogger("certindex.api")

ResultT = TypeVar("ResultT")

CHUNK_ROWS = 2_000
"""Rows that are read at a time: about 1 MB of text."""

PIECE_BYTES = 65_536
"""What a client must receive within SEND_SECONDS."""

MAX_PAUSE_SECONDS = 60
"""A download that exceeds the client's rate waits as long. If it had to wait longer, it is cut off."""


@dataclass
class Downloads:
    """The downloads of one process, and the reading for them.

    `open` counts those under way, `rows` the rows sent, by table and format, and `cuts` the downloads that ended early,
    by reason.
    """

    engine: Engine
    admission: Admission
    settings: Settings
    open: int = 0
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk: no more than one request may cost, so that every rate allows one."""
        return min(CHUNK_ROWS, self.settings.max_cost)

    async def read(self, work: Callable[[Snapshot], ResultT]) -> ResultT:
        """Returns the result of work on a snapshot. Raises Refusal."""
        seconds = self.settings.max_seconds

        async def read() -> ResultT:
            async with self.admission, open_snapshot(self.engine) as snapshot:
                return await snapshot.read(lambda _: work(snapshot))

        with refusing_failures(seconds):
            async with asyncio.timeout(seconds):
                return await read_again(read)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts a download while it is under way."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def refuse_beyond(self) -> None:
        """Raises NotReady if as many downloads are under way as may be."""
        if self.open >= self.settings.max_exports:
            raise NotReady(f"{self.open} downloads are under way, which is the maximum: try again later.")


class Chunk(NamedTuple):
    """A part of a file: its bytes, the number of its rows, and the place of the last one; None if no more follow."""

    content: bytes
    rows: int
    place: Place | None


@dataclass(frozen=True)
class Source:
    """A file as it is made: the list of its rows, and what writes them. `size`: rows of a chunk."""

    table: Table
    rows: RowList
    notation: Notation
    writer: FileWriter
    size: int

    def read(self, snapshot: Snapshot, after: Place | None) -> Chunk:
        """Returns the part of the file behind a place. Raises what `Table.read` raises."""
        texts, place = self.table.read(snapshot, self.rows, after, self.size, self.notation)
        return Chunk(self.writer.write(texts), len(texts), place)


@dataclass
class Download:
    """The response that sends a file. Its first chunk has been read; the others are read while it is sent.

    `format` is the name of the format, `chunk` the part that is sent next, or now.
    """

    downloads: Downloads
    format: str
    client: Client
    headers: Mapping[str, str]
    source: Source
    chunk: Chunk

    def __post_init__(self) -> None:
        self._sender = Sender(self.downloads.settings.send_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        with self.downloads.counted():
            sending, leaving = asyncio.create_task(self._send_file(send)), asyncio.create_task(disconnected(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                else:
                    self.downloads.cuts["left"] += 1
            except ClientTooSlow:
                self._cut("slow", "the client was too slow")
            except RateLimited as error:
                self._cut("rate", str(error))
            except Refusal as error:
                self._cut("refused", str(error))
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    def _cut(self, reason: str, why: str) -> None:
        self.downloads.cuts[reason] += 1
        log_event(log, logging.WARNING, "a download was cut off", " ({table}): {why}", self.source.table.name, why)

    async def _send_file(self, send: Send) -> None:
        source = self.source
        await self._send(send, source.writer.begin())
        while (place := self.chunk.place) is not None:
            self.chunk = await self._send_and_read(send, place)
            await pay(self.client, self.chunk.rows)
        await self._send_chunk(send)
        await self._send(send, await asyncio.to_thread(source.writer.end))
        await self._sender.send(lambda: send({"type": "http.response.body", "body": b""}))

    async def _send_and_read(self, send: Send, place: Place) -> Chunk:
        """Sends the chunk, while the one behind it is read. Returns that."""
        following = asyncio.create_task(self.downloads.read(lambda snapshot: self.source.read(snapshot, place)))
        try:
            await self._send_chunk(send)
            return await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _send_chunk(self, send: Send) -> None:
        await self._send(send, self.chunk.content)
        self.downloads.rows[self.source.table.name, self.format] += self.chunk.rows

    async def _send(self, send: Send, content: bytes) -> None:
        for start in range(0, len(content), PIECE_BYTES):
            message = {"type": "http.response.body", "body": content[start : start + PIECE_BYTES], "more_body": True}
            await self._sender.send(lambda message=message: send(message))  # type: ignore[misc]


async def pay(client: Client, rows: int) -> None:
    """Waits until the client's rate allows so many rows. Raises RateLimited if that is too long."""
    while True:
        try:
            client.take_cost(rows)
        except RateLimited as error:
            if error.retry_after > MAX_PAUSE_SECONDS:
                raise
            await asyncio.sleep(error.retry_after)
        else:
            return
