"""`certindex rebuild --into`: a copy with all events folded again takes the place of the live tables, at once."""

import asyncio
import shutil
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, event, make_url, text

from api.reading import cached_counts
from api.reading.snapshot import open_snapshot_now
from api.settings import Settings as ApiSettings
from indexer.commands import rebuild_into
from indexer.settings import RebuildSettings
from indexer.store import Store, copies, rewriting
from indexer.store.copies import Copy
from indexer.store.copying import Copying
from schema.profile.model import SHIPPED, load_profile
from schema.tables.database import connect, migrate
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.tables import Chain
from tests.support.api.server import post, serving
from tests.support.certindex import Certindex, Done
from tests.support.chain.awkward import licenses, life
from tests.support.chain.fakechain import FakeNode
from tests.support.databases import NewDatabase
from tests.support.index.awkward_fleet import awkward_fleet
from tests.support.index.indexing import Indexer, engine_of, index_afresh, read_tables
from tests.support.pgbouncer import running_pooler
from tests.support.postgres_pair import running_pair
from tests.support.processes import caught_up, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

TABLES = Chain.metadata.tables
AT_THE_SWITCH = {"revision", "writer", "writer_epoch", "writer_beat"}

DEVICES = """query ($at: BigInt!) { devices(asOf: {block: $at}, first: 20, filterBy: {serialNumber: {ne: "x"}}) {
  nodes { tokenId serialNumber firmware { version } manufacturer { name } history { totalCount } } }
  counted: devices(asOf: {block: $at}, filterBy: {serialNumber: {startsWith: "4"}}) { totalCount } }"""
NEWEST = "{ devices { totalCount } _meta { chains { indexed { number } } } }"
PAGE = """query ($after: String) { devices(first: 3, after: $after) { nodes { tokenId } pageInfo { endCursor } } }"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "EVENTS_A_CHUNK", 20)


@pytest.fixture
def other_profile(tmp_path: Path) -> str:
    """A profile that reads a device's IMEI as its serial number."""
    file = tmp_path / "mine.toml"
    shipped = (SHIPPED / "device_certificate.toml").read_text()
    file.write_text(shipped.replace('serial_number = "serialNumber"', 'serial_number = "imei"'))
    return str(file)


class Place(NamedTuple):
    """A database, and the name of a copy beside it."""

    url: str
    copy: str

    @property
    def is_file(self) -> bool:
        return self.url.startswith("sqlite")


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    name = str(tmp_path / "next.db") if database_url.startswith("sqlite") else "next"
    return Place(database_url, name)


@pytest.mark.slow
def test_readers_see_the_old_state_or_the_new_one_and_the_indexer_goes_on(
    place: Place,
    new_database: NewDatabase,
    certindex: Certindex,
    other_profile: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An indexer, a server that is asked all the time, a new profile, and a reorg of blocks of before the switch."""
    monkeypatch.setattr(cached_counts, "LONG_SECONDS", 0)  # every count is cached
    node = FakeNode(chain_id=1, finality=4)
    node.mine(*licenses())
    for token in range(1, 30):
        node.mine(*life(token))
    with (
        Provider(of_fake(node)) as provider,
        indexers(place.url, RPC_URLS=provider.url) as start,
        serving(ApiSettings(database_url=place.url, explorer=False)) as address,
    ):
        indexer = start()
        until(lambda: caught_up(place.url, node), "the first index", indexer)
        until(lambda: post(f"{address}/graphql", {"query": NEWEST}).status_code == 200, "the server")
        first_page = ask(address, PAGE, after=None)["devices"]
        next_page = ask(address, PAGE, after=first_page["pageInfo"]["endCursor"])
        at = node.head.number
        with Asking(address, at) as asking, Mining(provider, node) as mining:
            done = certindex("rebuild", "--into", place.copy, "--profile", other_profile, database_url=place.url)
            assert done.status == 0, done.err
            until(lambda: asking.has_both or asking.failed, "an answer of the new state", indexer)
            mining.wait_for_more()
        assert asking.failed == []
        answer = ask(address, DEVICES, at=at)
        assert ask(address, PAGE, after=first_page["pageInfo"]["endCursor"]) == next_page
        provider.do(lambda: node.reorg(4, life(50), life(51)))
        until(lambda: caught_up(place.url, node), "the reorg", indexer)
        assert "the profile has changed" in indexer.last_output
        assert "Traceback" not in indexer.last_output
    with engine_of(place.url) as engine, engine_of(other_url := new_database()) as other:
        fresh = index_afresh(other, node, profile=load_profile(other_profile))
        with serving(ApiSettings(database_url=other_url, explorer=False)) as address:
            assert ask(address, DEVICES, at=at) == answer
        assert without_safety(read_tables(engine, 1)) == without_safety(fresh)
    assert is_gone(place)
    assert certindex("rebuild", "--check", database_url=place.url).status == 0


@pytest.mark.parametrize("delay", ["30s", "0"])
def test_readers_of_a_replica_see_the_old_state_or_the_new_one(
    delay: str, certindex: Certindex, other_profile: str
) -> None:
    """The replay of the switch waits for the readers of the old tables, or cancels them: the server repeats these."""
    with (
        running_pair(f"max_standby_streaming_delay={delay}") as pair,
        awkward_fleet(url := pair.url_of(pair.first)) as indexer,
    ):
        pair.second.wait_for(pair.first)
        settings = ApiSettings(database_url=pair.url_of(pair.second), explorer=False, cache_bytes=0)
        with serving(settings) as address:
            until(lambda: post(f"{address}/graphql", {"query": NEWEST}).status_code == 200, "the server")
            with Asking(address, indexer.node.head.number) as asking:
                done = certindex("rebuild", "--into", "next", "--profile", other_profile, database_url=url)
                assert done.status == 0, done.err
                until(lambda: asking.has_both or asking.failed, "an answer of the new state")
        assert asking.failed == []


class Asking:
    """Asks a server for the same point all the time. Answers of one state follow those of another, and never return."""

    def __init__(self, address: str, at: int) -> None:
        self._address = address
        self._at = at
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._answers: list[Any] = []
        self._newest = 0
        self.failed: list[str] = []

    @property
    def has_both(self) -> bool:
        return len(self._answers) == 2

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            answer = post(f"{self._address}/graphql", {"query": DEVICES, "variables": {"at": self._at}})
            newest = post(f"{self._address}/graphql", {"query": NEWEST})
            ready = post(f"{self._address}/graphql", {"query": "{ __typename }"})
            for response in (answer, newest, ready):
                if response.status_code != 200 or "errors" in response.json():
                    self.failed.append(response.text)
                    return
            devices = answer.json()["data"]
            if not self._answers or devices != self._answers[-1]:
                self._answers.append(devices)
            if len(self._answers) > 2:
                self.failed.append(f"a third answer: {devices}")
            [chain] = newest.json()["data"]["_meta"]["chains"]
            if int(chain["indexed"]["number"]) < self._newest:
                self.failed.append("time went back")
            self._newest = int(chain["indexed"]["number"])


class Mining:
    """Mines blocks 50 ms apart, and each a little later: a rebuild comes to its end on a busy machine too."""

    def __init__(self, provider: Provider, node: FakeNode) -> None:
        self._provider = provider
        self._node = node
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._mine)

    def __enter__(self) -> "Mining":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        before = self._node.head.number
        until(lambda: self._node.head.number > before + 3, "more blocks")

    def _mine(self) -> None:
        tokens, pause = count(60), 0.05
        while not self._ended.wait(pause):
            self._provider.do(lambda: self._node.mine(*life(next(tokens))))
            pause = min(pause * 1.05, 2.0)


def test_all_rows_are_carried_over(place: Place, certindex: Certindex) -> None:
    """With the same profile every row of every table is the same, evidence and levels included."""
    with awkward_fleet(place.url) as indexer:
        add_evidence(indexer)
        before = all_rows(indexer.engine)
        assert all(before[table] for table in ("orphaned_event", "verified_header", "receipt_proof", "call"))
        done = certindex("rebuild", "--into", place.copy, database_url=place.url)
        assert done.status == 0, done.err
        after = all_rows(indexer.engine)
        [old], [new] = before.pop("chain"), after.pop("chain")
        assert after == before
        assert {name for name in old if old[name] != new[name]} == AT_THE_SWITCH
        assert (new["revision"], new["writer"]) == (old["revision"] + 1, None)
        assert new["writer_epoch"] == old["writer_epoch"] + 2
        assert indexes(indexer.engine) == INDEXES


def test_an_interrupted_rebuild_leaves_the_old_state_and_is_continued(
    place: Place, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted at every stage. In between, the indexer goes on, and a reorg removes copied blocks."""
    with awkward_fleet(place.url) as indexer:
        for number, stage in enumerate(STAGES):
            before = all_rows(indexer.engine)
            with monkeypatch.context() as patched:
                stage(patched)
                with pytest.raises(Interrupted):
                    certindex("rebuild", "--into", place.copy, database_url=place.url)
            assert without_lease(all_rows(indexer.engine)) == without_lease(before)
            take_over(indexer)  # from the interrupted process, or from itself
            indexer.node.reorg(2, life(60 + number), life(70 + number))
            indexer.node.mine(*life(80 + number))
            asyncio.run(indexer.catch_up())
        before = all_rows(indexer.engine)
        done = certindex("rebuild", "--into", place.copy, database_url=place.url)
        assert done.status == 0, done.err
        with indexer.engine.begin() as connection:
            events = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
        assert 0 < int(done.out.split("events=")[1].split()[0]) < events / 2
        after = all_rows(indexer.engine)
        assert without_lease(after) == without_lease(before)
        assert is_gone(place)


def take_over(indexer: Indexer) -> None:
    indexer.lease.take_over()
    indexer.store = Store(indexer.engine, 1, indexer.lease.epoch)


class Interrupted(Exception):
    """Ctrl-C, or a crash."""


def interrupting(owner: Any, name: str, *, after: int = 0) -> Callable[[pytest.MonkeyPatch], None]:
    """Returns what makes a method raise once it was called `after` times, before it does anything."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        method, calls = getattr(owner, name), [0]

        def interrupted(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] > after:
                raise Interrupted
            return method(*arguments)

        monkeypatch.setattr(owner, name, interrupted)

    return patch


def in_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises when the pages (SQLite) or the tables (PostgreSQL) are half switched."""
    step = copies._CheckOnceLocked.__call__

    def at_a_step(self: Any, status: int, remaining: int, total: int) -> None:
        step(self, status, remaining, total)
        if remaining < total // 2:
            raise Interrupted

    def at_a_statement(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DROP SCHEMA"):
            raise Interrupted

    monkeypatch.setattr(copies._CheckOnceLocked, "__call__", at_a_step)
    opened = copies.SchemaCopy.__init__

    def listening(self: Any, live: Engine, copy: Engine, name: str) -> None:
        opened(self, live, copy, name)
        event.listen(copy, "before_cursor_execute", at_a_statement)

    monkeypatch.setattr(copies.SchemaCopy, "__init__", listening)


STAGES = (
    interrupting(Copying, "write", after=2),
    interrupting(Copying, "write", after=1),
    interrupting(Copy, "build_indexes"),
    interrupting(Copy, "equalize"),
    interrupting(Copy, "equalize", after=1),
    in_the_switch,
    in_the_switch,
)


def test_a_commit_of_another_writer_before_the_switch_is_not_lost(
    place: Place, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby takes over when the copy is complete: the switch finds another state, and catches up again."""
    with awkward_fleet(place.url) as indexer:
        equalize, calls = Copy.equalize, [0]

        def beaten(self: Copy, *arguments: Any) -> None:
            equalize(self, *arguments)
            calls[0] += 1
            if calls[0] == 2:
                take_over(indexer)
                indexer.node.reorg(1, life(90))
                indexer.node.mine(*life(91))
                asyncio.run(indexer.catch_up())

        monkeypatch.setattr(Copy, "equalize", beaten)
        done = certindex("rebuild", "--into", place.copy, database_url=place.url)
        assert (done.status, calls[0]) == (0, 3), done.err
        with indexer.engine.begin() as connection:
            assert bytes(connection.execute(text("SELECT indexed_hash FROM chain")).scalar_one()) == (
                indexer.node.head.hash
            )
        assert certindex("rebuild", "--check", database_url=place.url).status == 0


def test_a_snapshot_that_was_taken_before_a_switch_is_taken_again(new_postgres_database: NewDatabase) -> None:
    """PostgreSQL reads the tables of now with the snapshot of before, which has no row of `chain` in them."""
    url = new_postgres_database()
    with awkward_fleet(url):
        reading = connect(url, read_only=True)
        switched: list[int] = []

        @event.listens_for(reading, "begin")
        def switch(connection: Connection) -> None:
            if not switched:
                connection.exec_driver_sql("SELECT 1 FROM pg_class LIMIT 1")  # takes the snapshot
                switched.append(rebuild_into.rebuild_into(RebuildSettings(database_url=url), "next"))

        with open_snapshot_now(reading) as snapshot:
            assert (switched, list(snapshot.chains)) == ([0], [1])
        reading.dispose()


def test_a_switch_waits_for_a_transaction_that_reads_and_gives_up(
    new_postgres_database: NewDatabase, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_into, "PATIENCE_SECONDS", 0)
    url = new_postgres_database()
    with awkward_fleet(url) as indexer:
        with indexer.engine.connect() as reading:
            reading.execute(text("SELECT 1 FROM chain"))
            done = certindex("rebuild", "--into", "next", database_url=url)
        assert done.status == 1
        assert "could not be switched within 0 s: another program uses them in a long transaction" in done.err
        assert certindex("rebuild", "--into", "next", database_url=url).status == 0


def test_it_works_through_a_pooler(new_postgres_database: NewDatabase, certindex: Certindex) -> None:
    """Each transaction may be of another session of the server, which does not keep the schema of the copy."""
    url = new_postgres_database()
    with awkward_fleet(url) as indexer, running_pooler(url, sessions=8) as pooler:
        before = all_rows(indexer.engine)
        done = certindex("rebuild", "--into", "next", database_url=pooler.url)
        assert done.status == 0, done.err
        assert without_lease(all_rows(indexer.engine)) == without_lease(before)
        assert is_gone(Place(url, "next"))


def test_the_roles_of_the_tables_keep_their_rights(new_postgres_database: NewDatabase, certindex: Certindex) -> None:
    url = new_postgres_database()
    grants = text(
        """SELECT table_name, grantee, privilege_type, is_grantable FROM information_schema.role_table_grants
        WHERE grantee = 'reader "of" tests' ORDER BY 1, 3"""
    )
    with awkward_fleet(url) as indexer:
        with indexer.engine.begin() as connection:
            connection.exec_driver_sql('DROP ROLE IF EXISTS "reader ""of"" tests"')
            connection.exec_driver_sql('CREATE ROLE "reader ""of"" tests"')
            connection.exec_driver_sql('GRANT SELECT ON ALL TABLES IN SCHEMA public TO "reader ""of"" tests"')
            connection.exec_driver_sql('GRANT DELETE ON standby TO "reader ""of"" tests" WITH GRANT OPTION')
            before = connection.execute(grants).all()
        assert certindex("rebuild", "--into", "next", database_url=url).status == 0
        with indexer.engine.begin() as connection:
            assert connection.execute(grants).all() == before != []
            connection.exec_driver_sql('DROP OWNED BY "reader ""of"" tests"')
            connection.exec_driver_sql('DROP ROLE "reader ""of"" tests"')


class TestRefusals:
    """Each names what is wrong, and leaves the live database as it was."""

    def test_a_name_that_is_taken(self, place: Place, new_database: NewDatabase, certindex: Certindex) -> None:
        with awkward_fleet(place.url) as indexer:
            taken = place.copy
            if place.is_file:
                with engine_of(url := new_database()):
                    taken = str(make_url(url).database)
            else:
                with indexer.engine.begin() as connection:
                    connection.exec_driver_sql("CREATE SCHEMA next CREATE TABLE mine (id int)")
            assert_refused(
                certindex("rebuild", "--into", taken, database_url=place.url),
                f"--into {taken}: it exists, and no rebuild has begun it. Choose another name, or remove it",
            )

    def test_a_copy_that_was_begun_with_another_profile(
        self, place: Place, certindex: Certindex, other_profile: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with awkward_fleet(place.url):
            with monkeypatch.context() as patched:
                interrupting(Copy, "build_indexes")(patched)
                with pytest.raises(Interrupted):
                    certindex("rebuild", "--into", place.copy, database_url=place.url)
            assert_refused(
                certindex("rebuild", "--into", place.copy, "--profile", other_profile, database_url=place.url),
                f"--into {place.copy}: it was begun for other chains, with another profile or by another release. "
                f"Remove it ({'rm ' if place.is_file else 'DROP SCHEMA '}",
            )

    def test_a_first_backfill_that_is_not_complete(self, place: Place, certindex: Certindex) -> None:
        with awkward_fleet(place.url) as indexer, indexer.engine.begin() as connection:
            connection.execute(text("UPDATE chain SET backfilled = false"))
        assert_refused(
            certindex("rebuild", "--into", place.copy, database_url=place.url),
            "The first backfill of chain 1 is not complete",
        )

    def test_a_database_without_a_chain(self, place: Place, certindex: Certindex) -> None:
        migrate(connect(place.url))
        assert_refused(certindex("rebuild", "--into", place.copy, database_url=place.url), "holds no chain yet")

    def test_what_would_be_lost(self, place: Place, certindex: Certindex) -> None:
        with awkward_fleet(place.url) as indexer:
            with indexer.engine.begin() as connection:
                connection.exec_driver_sql("CREATE VIEW mine AS SELECT id FROM device")
            assert_refused(
                certindex("rebuild", "--into", place.copy, database_url=place.url),
                "The switch would remove what is not of certindex: view mine. Drop it, and create it again",
            )

    @pytest.mark.parametrize("name", ["public", "Next", "a-b", "pg_next", "x" * 64])
    def test_a_name_that_no_new_schema_has(self, name: str, postgres_url: str, certindex: Certindex) -> None:
        with awkward_fleet(postgres_url):
            assert_refused(
                certindex("rebuild", "--into", name, database_url=postgres_url),
                f"--into {name}: on PostgreSQL it is the name of a new schema",
            )

    def test_a_folder_that_does_not_exist(self, sqlite_url: str, certindex: Certindex, tmp_path: Path) -> None:
        with awkward_fleet(sqlite_url):
            name = str(tmp_path / "none" / "next.db")
            assert_refused(
                certindex("rebuild", "--into", name, database_url=sqlite_url),
                f"--into {name}: there is no folder {tmp_path / 'none'}.",
            )

    def test_no_room_on_the_disk(
        self, sqlite_url: str, certindex: Certindex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Usage(NamedTuple):
            free: int = 1 << 20

        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
        with awkward_fleet(sqlite_url) as indexer:
            with indexer.engine.begin() as connection:
                connection.execute(text("INSERT INTO call VALUES (1, :a, :a, 1, :b)"), {"a": b"a", "b": bytes(2 << 20)})
            assert_refused(
                certindex("rebuild", "--into", str(tmp_path / "next.db"), database_url=sqlite_url),
                "has 1 MiB free, and about ",
            )
        assert not (tmp_path / "next.db").exists()


def assert_refused(done: Done, reason: str) -> None:
    assert done.status == 1
    assert reason in done.err, done.err
    assert "Traceback" not in done.err


# What the tables hold


def add_evidence(indexer: Indexer) -> None:
    """Adds rows of the tables that verification and calls of contracts fill."""
    with indexer.engine.begin() as connection:
        for statement in (
            "INSERT INTO verified_header (chain_id, number, rlp) SELECT 1, number, hash FROM block WHERE number < 20",
            """INSERT INTO receipt_proof (chain_id, block_number, transaction_index, first_log_index, nodes)
            SELECT 1, number, 0, 0, hash FROM block WHERE number < 20""",
            "UPDATE block SET level = 1 WHERE number < 20",
            "INSERT INTO verification_failure VALUES (1, 21, 1, 'no evidence', 7, 2)",
            "INSERT INTO call SELECT 1, hash, hash, number, hash FROM block WHERE number < 5",
        ):
            connection.execute(text(statement))


def all_rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    with engine.begin() as connection:
        return {
            table: [
                dict(row)
                for row in connection.execute(
                    text(f'SELECT {", ".join(columns)} FROM "{table}" ORDER BY {", ".join(columns)}')
                ).mappings()
            ]
            for table, columns in (
                (name, [f'"{column.name}"' for column in table.columns]) for name, table in TABLES.items()
            )
        }


def without_lease(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    [chain] = rows["chain"]
    return rows | {"chain": [{name: value for name, value in chain.items() if name not in AT_THE_SWITCH}]}


def without_safety(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Leaves out what depends on when a node was polled."""
    ignored = ("safe_number", "finalized_number", "finalized_hash", "finalized_time")
    [chain] = rows["chain"]
    blocks = [row for row in rows["block"] if row["digest"] is not None]
    return rows | {"block": blocks, "chain": [{name: chain[name] for name in chain.keys() - set(ignored)}]}


INDEXES = {index.name for index in SECONDARY_INDEXES}


def indexes(engine: Engine) -> set[str]:
    statement = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'ix%'",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'ix%'",
    }[engine.dialect.name]
    with engine.begin() as connection:
        return set(connection.execute(text(statement)).scalars())


def is_gone(place: Place) -> bool:
    if place.is_file:
        return not list(Path(place.copy).parent.glob("next.db*"))
    engine = connect(place.url)
    with engine.begin() as connection:
        schema = connection.exec_driver_sql("SELECT to_regnamespace('next')").scalar_one()
    engine.dispose()
    return schema is None


def ask(address: str, query: str, **variables: Any) -> Any:
    body = post(f"{address}/graphql", {"query": query, "variables": variables}).json()
    assert "errors" not in body, body
    return body["data"]
