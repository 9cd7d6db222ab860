"""`certindex rebuild --check`: every derived value that was changed is found, and nothing is written."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Connection, Engine, LargeBinary, String, Text, text
from sqlalchemy.types import TypeDecorator

from indexer.commands.sync import sync
from indexer.settings import Settings
from indexer.store import rewriting
from schema.profile.model import SHIPPED
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.kinds import DERIVED, SPANS
from schema.tables.rows import EventReading
from schema.tables.tables import Chain
from tests.support.certindex import Certindex
from tests.support.chain.awkward import life
from tests.support.chain.devchain import Anvil
from tests.support.databases import NewDatabase
from tests.support.dimo.network import YEARS, Network
from tests.support.dimo.stage import Stage
from tests.support.dimo.traffic import drive, mint_vehicle
from tests.support.index.awkward_fleet import awkward_fleet
from tests.support.index.indexing import read_table

TABLES = Chain.metadata.tables
BEGAN = 1_667_300_000
EMPTY = {
    *(f"{token}{suffix}" for token in ("vehicle", "synthetic_device") for suffix in ("", "_version", "_attribute")),
    "account",
    "license",
    "license_version",
}
"""The tables that the reference contract has no rows in."""


def dimo(url: str) -> None:
    """Indexes a DIMO network with vehicles and licenses that are tokens."""
    with Anvil("--no-mining", "--order", "fifo", "--timestamp", str(BEGAN - 86_400)) as chain:
        network = Network(Stage(chain), seed=5, began=BEGAN)
        for number in range(1, 6):
            network.mint_maker(number, licensed=number != 4)
        for _ in range(8):
            mint_vehicle(network)
        network.mine()
        for year in YEARS:
            network.year = year
            for _ in range(4):
                network.mint()
                for _ in range(12):
                    network.live()
                for _ in range(20):
                    drive(network)
                network.mine()
        environ = {
            "RPC_URLS": chain.url,
            "DATABASE_URL": url,
            "PROFILE": "dimo",
            "CONTRACTS": network.stage.contracts_setting,
        }
        assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0


def rows_of(engine: Engine, chain_id: int) -> dict[str, Any]:
    return {table: read_table(engine, chain_id, table) for table in ("chain", "block", "event", *DERIVED)}


def change(connection: Connection, table: str, column: str, place: int) -> None:
    """Changes one value of the table's row at this place."""
    key = [part.name for part in TABLES[table].primary_key.columns]
    rows = connection.execute(text(f'SELECT * FROM "{table}" ORDER BY {", ".join(key)}')).mappings().all()
    row = rows[place % len(rows)]
    where = " AND ".join(f"{name} = :{name}" for name in key)
    statement = text(f'UPDATE "{table}" SET {column} = :changed WHERE {where}')
    connection.execute(statement, {name: row[name] for name in key} | {"changed": _other(table, column, row[column])})


def _other(table: str, column: str, value: Any) -> Any:
    declared = TABLES[table].c[column].type
    if isinstance(declared, TypeDecorator):
        declared = declared.impl_instance
    match declared:
        case Boolean():
            return not value
        case LargeBinary():
            return b"\x07" * 20 if value is None else bytes([value[0] ^ 1]) + value[1:]
        case String() | Text():
            return f"changed {(value or '')[:50]}"
        case _:
            return 3 if value is None else value - 1 if value else 1


@pytest.mark.parametrize("network", ["reference", "dimo"])
def test_every_changed_value_of_every_derived_column_is_reported(
    network: str, new_database: NewDatabase, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "EVENTS_A_CHUNK", 20)
    url = new_database()
    if network == "dimo":
        dimo(url)
    else:
        with awkward_fleet(url):
            pass
    done = certindex("rebuild", "--check", database_url=url)
    assert (done.status, " differences=0 " in done.out) == (0, True), done.out
    engine = connect(url)
    changed = {}
    with engine.begin() as connection:
        for table in DERIVED:
            if connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one() == 0:
                assert table in EMPTY if network == "reference" else table in NEVER_IN_DIMO
                continue
            owned = {"chain_id", "id", "position", "valid_from", *([SPANS[table].owner] if table in SPANS else [])}
            changed[table] = [column.name for column in TABLES[table].columns if column.name not in owned]
        changed["event"] = list(EventReading.__struct_fields__)
        for table, columns in changed.items():
            for place, column in enumerate(columns):
                change(connection, table, column, place)
    engine.dispose()
    done = certindex("rebuild", "--check", database_url=url)
    assert done.status == 1
    unreported = [
        f"{table}.{column}"
        for table, columns in changed.items()
        for column in columns
        if not re.search(rf"^{table} .*: {column} is .*, the events make it ", done.out, re.MULTILINE)
    ]
    assert unreported == []
    assert f" differences={sum(map(len, changed.values()))} " in done.out, done.out
    assert "certindex rebuild" in done.out.splitlines()[-1]
    assert certindex("rebuild", database_url=url).status == 0
    assert certindex("rebuild", "--check", database_url=url).status == 0


NEVER_IN_DIMO = {"test_result", "firmware_update", "end_of_life_step", "hardware_license", "hardware_license_version"}


def test_a_row_that_is_missing_or_that_no_event_makes_is_reported(database_url: str, certindex: Certindex) -> None:
    with awkward_fleet(database_url) as indexer, indexer.engine.begin() as connection:
        for table in (*DERIVED, "block"):
            count = connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one()
            if count == 0:
                continue
            number = {"block": "number"}.get(table, "valid_from" if table in SPANS else "id")
            if table not in SPANS and "position" in TABLES[table].columns:
                number = "position"
            first = connection.execute(
                text(f'SELECT min({number}) FROM "{table}"' + (" WHERE digest IS NOT NULL" if table == "block" else ""))
            )
            connection.execute(
                text(f'UPDATE "{table}" SET {number} = {number} + 900000 WHERE {number} = :first'),
                {"first": first.scalar_one()},
            )
    done = certindex("rebuild", "--check", database_url=database_url)
    assert done.status == 1
    assert re.search("^event 1:0: its block is not stored$", done.out, re.MULTILINE)
    for table in set(DERIVED) - EMPTY:
        assert re.search(f"^{table} .*: the row is missing$", done.out, re.MULTILINE), table
        assert re.search(f"^{table} .*: no event makes such a row$", done.out, re.MULTILINE), table


def test_nothing_is_written_and_an_indexer_may_write_meanwhile(
    database_url: str, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the chunks of the check an indexer stores further blocks, and takes some back."""
    monkeypatch.setattr(rewriting, "EVENTS_A_CHUNK", 20)
    with awkward_fleet(database_url) as indexer:
        before = rows_of(indexer.engine, 1)
        assert certindex("rebuild", "--check", database_url=database_url).status == 0
        assert rows_of(indexer.engine, 1) == before

        chunks = rewriting.Rewriting.chunks

        def moving(self: rewriting.Rewriting) -> Iterator[Any]:
            for number, chunk in enumerate(chunks(self), 50):
                if number % 2:
                    indexer.node.reorg(2, life(number), life(number + 1))
                indexer.node.mine(*life(number + 60))
                asyncio.run(indexer.catch_up())
                yield chunk

        monkeypatch.setattr(rewriting.Rewriting, "chunks", moving)
        done = certindex("rebuild", "--check", database_url=database_url)
        assert (done.status, " differences=0 " in done.out) == (0, True), done.out
        assert rows_of(indexer.engine, 1) != before
        monkeypatch.setattr(rewriting.Rewriting, "chunks", chunks)
        assert certindex("rebuild", "--check", database_url=database_url).status == 0


def test_values_of_another_type_are_reported_as_they_are(sqlite_url: str, certindex: Certindex) -> None:
    """SQLite stores a text in a column of numbers."""
    with awkward_fleet(sqlite_url) as indexer, indexer.engine.begin() as connection:
        connection.execute(text("UPDATE device_version SET minted_at = 'never'"))
        connection.execute(
            text("UPDATE transfer SET position = 'first' WHERE position = (SELECT max(position) FROM transfer)")
        )
        connection.execute(text("UPDATE event SET kind = 99 WHERE position = 1 << 20"))
    done = certindex("rebuild", "--check", database_url=sqlite_url)
    assert done.status == 1
    assert 'minted_at is "never", the events make it' in done.out
    assert 'transfer position "first": no event makes such a row' in done.out
    assert "event 1:0: kind is 99, the events make it MANUFACTURER_LICENSED" in done.out


def test_a_check_by_another_profile_reports_what_a_rebuild_would_change(
    sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    shipped = (SHIPPED / "device_certificate.toml").read_text()
    mine.write_text(shipped.replace('serial_number = "serialNumber"', 'serial_number = "imei"'))
    with awkward_fleet(sqlite_url):
        pass
    assert certindex("rebuild", "--check", "--profile", str(mine), database_url=sqlite_url).status == 1
    assert certindex("rebuild", "--profile", str(mine), database_url=sqlite_url).status == 0
    assert certindex("rebuild", "--check", database_url=sqlite_url).status == 0


def test_a_database_of_no_release_is_refused(new_empty_database: NewDatabase, certindex: Certindex) -> None:
    url = new_empty_database()
    done = certindex("rebuild", "--check", database_url=url)
    assert (done.status, "Traceback" in done.err, done.out) == (1, False, "")
