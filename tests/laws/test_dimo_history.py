"""Years of a DIMO network on a chain, with a reorg and changing event shapes: tables and API return the true states."""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from indexer.commands.rebuild import rebuild
from indexer.commands.sync import sync
from indexer.settings import RebuildSettings, Settings
from schema.events import Kind
from schema.program.settings import read_settings
from schema.tables.database import connect
from schema.tables.values import end_of_block
from tests.support.api.asking import Api
from tests.support.chain.devchain import Anvil
from tests.support.dimo.api import (
    api_devices,
    api_grants,
    api_makers,
    api_successors,
    api_synthetics,
    api_vehicles,
)
from tests.support.dimo.network import YEARS, Network
from tests.support.dimo.stage import Stage
from tests.support.dimo.tables import (
    expected_devices,
    expected_grants,
    expected_makers,
    expected_synthetics,
    expected_vehicles,
    stored_devices,
    stored_grants,
    stored_makers,
    stored_synthetics,
    stored_vehicles,
)
from tests.support.dimo.traffic import drive, mint_vehicle
from tests.support.dimo.world import Granting, World
from tests.support.index.indexing import read_tables
from tests.support.postgres import temporary_database

DEVICES = 200
BEGAN = 1_667_300_000
LOST_BLOCKS = 12
CHAIN_ID = 31337


@dataclass
class History:
    """Ten points in time with what was true then, on the branch that stayed."""

    urls: dict[str, str]
    points: dict[int, tuple[int, World]] = field(default_factory=dict)
    taken_back: int = 0


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, postgres_server_url: str) -> Iterator[History]:
    sqlite = f"sqlite:///{tmp_path_factory.mktemp('dimo') / 'dimo.db'}"
    with (
        Anvil("--no-mining", "--order", "fifo", "--timestamp", str(BEGAN - 86_400)) as chain,
        temporary_database(postgres_server_url) as postgresql,
    ):
        history = History({"sqlite": sqlite, "postgresql": postgresql})
        network = Network(Stage(chain), seed=5, began=BEGAN)
        play(history, network)
        index(history, network)
        yield history


def play(history: History, network: Network) -> None:
    """Simulates four years, indexes halfway, and reorgs the last blocks before that point."""
    for number in range(1, 6):
        if number == 3:
            network.mine()
            network.year = "2023"
        network.mint_maker(number, licensed=number != 4)
    for _ in range(8):
        mint_vehicle(network)
    network.mine()
    for quarter, year in enumerate(YEARS):
        network.year = year
        while len(network.world.units) < DEVICES * (quarter + 1) // len(YEARS):
            block(network)
            if len(network.world.units) % 20 < 3:
                keep(history, network)
        if quarter == 1:
            lose_a_branch(history, network)
    history.points = dict(list(history.points.items())[:: max(len(history.points) // 10, 1)][-10:])
    keep(history, network)


def block(network: Network) -> None:
    for _ in range(2):
        network.mint()
    for _ in range(12):
        network.live()
    for _ in range(8):
        drive(network)
    network.mine()


def keep(history: History, network: Network) -> None:
    number = network.stage.chain.block_number
    history.points[number] = (network.stage.chain.timestamp(number), network.copy())


def lose_a_branch(history: History, network: Network) -> None:
    """Indexes a branch of twelve blocks that another then replaces."""
    chain = network.stage.chain
    fork, world, time = chain.snapshot(), network.copy(), network.time
    for _ in range(LOST_BLOCKS):
        block(network)
    index(history, network)
    history.taken_back = len(network.world.units) - len(world.units)
    chain.revert(fork)
    network.world, network.time = deepcopy(world), time + 60
    for _ in range(LOST_BLOCKS + 2):
        block(network)


def index(history: History, network: Network) -> None:
    for url in history.urls.values():
        environ = {
            "RPC_URLS": network.stage.chain.url,
            "DATABASE_URL": url,
            "PROFILE": "dimo",
            "CONTRACTS": network.stage.contracts_setting,
        }
        assert asyncio.run(sync(read_settings(Settings, None, environ))) == 0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, history: History) -> Iterator[Engine]:
    engine = connect(history.urls[request.param])
    yield engine
    engine.dispose()


@pytest.fixture
def api(history: History, engine: Engine) -> Iterator[Api]:
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")  # as a server does by itself, but not within seconds
    api = Api(history.urls[engine.dialect.name])
    yield api
    api.engine.dispose()


@pytest.fixture
def tables(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def test_the_tables_say_of_every_device_what_was_true_at_ten_points_in_time(
    history: History, tables: Connection
) -> None:
    assert len(history.points) >= 10
    for number, (clock, world) in history.points.items():
        expected = expected_devices(world, clock)
        stored = stored_devices(tables, end_of_block(number), clock)
        assert stored.keys() == expected.keys()
        for token, device in expected.items():
            assert stored[token] == device, f"device {token} after block {number}"


def test_the_tables_say_of_every_maker_what_was_true(history: History, tables: Connection) -> None:
    for number, (_, world) in history.points.items():
        assert stored_makers(tables, end_of_block(number)) == expected_makers(world)


def test_the_tables_say_of_every_vehicle_and_grant_what_was_true_at_ten_points_in_time(
    history: History, tables: Connection
) -> None:
    for number, (clock, world) in history.points.items():
        position = end_of_block(number)
        assert stored_vehicles(tables, position, clock) == expected_vehicles(world, clock)
        assert stored_synthetics(tables, position, clock) == expected_synthetics(world, clock)
        assert stored_grants(tables, position, clock) == expected_grants(world, clock)


async def test_the_api_says_of_every_vehicle_what_was_true_at_ten_points_in_time(history: History, api: Api) -> None:
    for number, (clock, world) in history.points.items():
        assert await api_vehicles(api, number) == expected_vehicles(world, clock)
        assert await api_synthetics(api, number) == expected_synthetics(world, clock)


async def test_the_list_of_all_grants_of_a_user_is_the_reverse_of_what_each_subject_grants(
    history: History, api: Api
) -> None:
    number, (clock, world) = list(history.points.items())[-1]
    granting: dict[str, dict[Any, Granting]] = {
        "Device": {**world.units},
        "Vehicle": {**world.vehicles},
        "SyntheticDevice": {**world.synthetics},
        "Manufacturer": {**world.makers},
        "Account": {**world.accounts},
    }
    expected = {
        (kind, str(name).lower(), *key)
        for kind, subjects in granting.items()
        for name, subject in subjects.items()
        for key in subject.grants(clock)
    }
    assert {kind for kind, *_ in expected} == set(granting)
    users = {user for _, _, user, _, _ in expected}
    assert await api_grants(api, number, users) == expected


async def test_the_api_says_of_every_device_what_was_true_at_ten_points_in_time(history: History, api: Api) -> None:
    for number, (clock, world) in history.points.items():
        expected, answered = expected_devices(world, clock), await api_devices(api, number)
        assert answered.keys() == expected.keys()
        for token, device in expected.items():
            assert answered[token] == device, f"device {token} after block {number}"


async def test_the_api_says_of_every_maker_and_succession_what_was_true(history: History, api: Api) -> None:
    for number, (_, world) in history.points.items():
        assert await api_makers(api, number) == expected_makers(world)
    successors = {unit.predecessor: unit.token for unit in world.units.values() if unit.predecessor is not None}
    assert await api_successors(api, number) == {old: new for old, new in successors.items() if old <= 100}


def test_the_history_shows_every_flow(history: History) -> None:
    _, world = list(history.points.values())[-1]
    units = list(world.units.values())
    assert len(units) >= DEVICES
    assert len(world.makers) == 5
    shown = {
        "burned": sum(unit.burned_at is not None for unit in units),
        "reprovisioned": sum(unit.predecessor is not None for unit in units),
        "paired": sum(unit.vehicle is not None for unit in units),
        "claimed": sum(unit.claimed_at is not None for unit in units),
        "reset": sum(unit.resets > 0 for unit in units),
        "grants that outlive a burn": sum(bool(unit.permissions) and unit.burned_at is not None for unit in units),
        "without a known manufacturer": sum(unit.manufacturer is None for unit in units),
        "another beneficiary": sum(unit.beneficiary is not None for unit in units),
        "an address that came back": sum(len(set(unit.addresses)) < len(unit.addresses) for unit in units),
    }
    vehicles, synthetics = list(world.vehicles.values()), list(world.synthetics.values())
    shown |= {
        "vehicles burned": sum(vehicle.burned_at is not None for vehicle in vehicles),
        "vehicles with a grant": sum(bool(vehicle.grants(0)) for vehicle in vehicles),
        "vehicles without a definition": sum(vehicle.definition is None for vehicle in vehicles),
        "synthetic devices burned": sum(device.burned_at is not None for device in synthetics),
        "connections": sum(device.connection > 2**63 for device in synthetics),
        "integrations": sum(device.connection < 2**63 for device in synthetics),
        "accounts that share": len(world.accounts),
    }
    assert [name for name, count in shown.items() if count <= 2] == []
    assert {unit.license_at_mint for unit in units} == {"VALID", "NONE", "REVOKED", "UNKNOWN"}
    assert history.taken_back > 20


def test_the_reorg_left_its_evidence_and_nothing_else(history: History, tables: Connection) -> None:
    lost = tables.execute(text("SELECT count(*) FROM reorg")).scalar_one()
    assert lost == 1
    assert tables.execute(text("SELECT count(*) FROM orphaned_block")).scalar_one() == LOST_BLOCKS


def test_every_log_is_decoded_and_every_fact_of_the_profile_occurs(tables: Connection) -> None:
    kinds = set(tables.execute(text("SELECT DISTINCT kind FROM event")).scalars())
    assert Kind.UNDECODABLE not in kinds
    assert Kind.UNMAPPED in kinds
    assert {kind for kind in Kind if kind >= Kind.DEVICE_CLAIMED} <= kinds


def test_nothing_that_happens_in_order_is_flagged(tables: Connection) -> None:
    flagged = tables.execute(
        text("SELECT DISTINCT kind, flags FROM event WHERE flags <> 0 AND kind <> :minted"),
        {"minted": Kind.DEVICE_MINTED.value},
    ).all()
    assert flagged == []


def test_a_rebuild_from_the_stored_events_gives_the_same_rows(history: History, engine: Engine) -> None:
    before = read_tables(engine, CHAIN_ID)
    environ = {"DATABASE_URL": history.urls[engine.dialect.name]}
    assert asyncio.run(rebuild(read_settings(RebuildSettings, None, environ))) == 0
    assert read_tables(engine, CHAIN_ID) == before
