"""SQLite's plans on a large index: keys are found by an index, no query scans a whole table."""

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.statistics import write_statistics
from tests.support.api.asking import Api
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.index.indexing import Indexer, open_engine

OWNER, USER = "0x" + "11" * 20, "0x" + "33" * 20
HASH = "0x" + "ab" * 32
OWNER_INDEX = "ix_device_key_owner_minted_at_device_id"
BIG = (
    "event",
    "device",
    "device_key",
    "device_version",
    "device_activity",
    "device_attribute",
    "authorization",
    "test_result",
)


class PlanningApi(Api):
    """Has the plan of each statement of the last request."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.plans: dict[str, list[str]] = {}
        event.listen(self.engine, "before_cursor_execute", self._explain)

    async def plans_of(self, query: str) -> list[list[str]]:
        self.plans = {}
        await self.ask(query)
        return list(self.plans.values())

    def _explain(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            # in the thread of the statement, on a connection of its own
            with sqlite3.connect(self.engine.url.database or "", uri=True) as file:
                rows = file.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            self.plans[statement] = [row[3] for row in rows]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlanningApi]:
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'plans.db'}"
    engine = open_engine(url)
    node = FakeNode(chain_id=1)
    node.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
        emitted("Transfer", to=OWNER, tokenId=1),
        emitted("CertificateMinted", tokenId=1, manufacturerId=1, hardwareLicenseId=7, serialNumber="A", imei="B"),
        emitted("UserAuthorized", tokenId=1, user=USER, organization="O"),
    )
    asyncio.run(Indexer(engine, node).catch_up())
    with engine.begin() as connection:
        for index in SECONDARY_INDEXES:
            connection.exec_driver_sql(index.ddl)
        write_statistics(connection)
    planning = PlanningApi(url)
    yield planning
    planning.engine.dispose()
    engine.dispose()


def scanned(plan: list[str]) -> list[str]:
    """Returns the lines of a plan that scan a big table."""
    return [line for line in plan if any(line == f"SCAN {table}" or line.startswith(f"SCAN {table} ") for table in BIG)]


ORDERS = [
    "lifecycleEvents { nodes { id } }",
    "device(by: {tokenId: 1}) { history { nodes { id } } }",
    "device(by: {tokenId: 1}) { inCircuitTests { nodes { id } } firmwareUpdates { nodes { id } } }",
    "device(by: {tokenId: 1}) { factoryResets { nodes { id } } transfers { nodes { id } } }",
    'manufacturer(by: {name: "Acme"}) { history { nodes { id } } }',
]


@pytest.mark.parametrize("field", ORDERS)
async def test_an_order_is_walked_by_its_index(api: PlanningApi, field: str) -> None:
    for plan in await api.plans_of(f"{{ {field} }}"):
        assert scanned(plan) == []
        assert not [line for line in plan if "TEMP B-TREE" in line], plan


LOOK_UPS = {
    "tokenId: 1": "device",
    f'address: "{USER}"': "ix_device_key_address_device_id",
    f'everHadAddress: "{USER}"': "ix_device_key_address_device_id",
    'imei: "B"': "ix_device_key_imei_key_device_id",
    'devEUI: "C"': "ix_device_key_dev_eui_key_device_id",
    'serialNumber: {value: "A"}': "ix_device_key_serial_number_key_device_id",
}


@pytest.mark.parametrize("key", LOOK_UPS)
async def test_a_look_up_uses_the_index_of_its_key(api: PlanningApi, key: str) -> None:
    plans = await api.plans_of(f"{{ device(by: {{{key}}}) {{ id }} }}")
    assert [line for plan in plans for line in plan if LOOK_UPS[key] in line]
    assert [scanned(plan) for plan in plans if scanned(plan)] == []


FILTERS = {
    f'devices(filterBy: {{owner: {{eq: "{OWNER}"}}}})': OWNER_INDEX,
    'devices(filterBy: {serialNumber: {startsWith: "A"}})': "ix_device_key_serial_number_key_device_id",
    "devices(filterBy: {manufacturerId: {eq: 1}})": "ix_device_key_manufacturer_id_device_id",
    "devices(filterBy: {hardwareLicenseId: {eq: 7}})": "ix_device_key_hardware_license_id_device_id",
    f'devices(filterBy: {{beneficiary: {{eq: "{USER}"}}}})': "ix_device_key_beneficiary_device_id",
    f'devices(filterBy: {{mintTransactionHash: {{eq: "{HASH}"}}}})': "ix_event_transaction_hash",
    f'devices(filterBy: {{authorizedUser: {{user: {{eq: "{USER}"}}}}}})': "ix_authorization_user_address_device_id",
    'authorizations(filterBy: {organization: {eq: "O"}})': "ix_authorization_organization_key_device_id",
    f'authorizations(filterBy: {{user: {{eq: "{USER}"}}}})': "ix_authorization_user_address_device_id",
    f'lifecycleEvents(filterBy: {{transactionHash: {{eq: "{HASH}"}}}})': "ix_event_transaction_hash",
    f'lifecycleEvents(filterBy: {{blockHash: {{eq: "{HASH}"}}}})': "ix_block_hash",
    "lifecycleEvents(filterBy: {kind: {eq: FACTORY_RESET}})": "ix_event_kind_position",
    "lifecycleEvents(filterBy: {manufacturerId: {eq: 1}})": "ix_event_manufacturer_id_position",
    "lifecycleEvents(filterBy: {hardwareLicenseId: {eq: 7}})": "ix_event_hardware_license_id_position",
    'manufacturers(filterBy: {name: {eq: "Acme"}})': "ix_manufacturer_version_name_key_manufacturer_id",
}


@pytest.mark.parametrize("field", FILTERS)
async def test_an_equality_is_found_by_its_index(api: PlanningApi, field: str) -> None:
    plans = await api.plans_of(f"{{ {field} {{ nodes {{ id }} }} }}")
    assert [line for plan in plans for line in plan if FILTERS[field] in line], plans
    assert [scanned(plan) for plan in plans if scanned(plan)] == []


STATISTICS = {
    "groupBy: [MODEL, MANUFACTURER, FIRMWARE]": "device_key",
    f'groupBy: [FIRMWARE, MINTED_MONTH], filterBy: {{owner: {{eq: "{OWNER}"}}}}': OWNER_INDEX,
    "groupBy: [CONTRACT], filterBy: {hardwareLicenseId: {eq: 7}}": "ix_device_key_hardware_license_id_device_id",
}


@pytest.mark.parametrize("arguments", STATISTICS)
async def test_groups_are_counted_in_one_walk_of_the_filtered_rows(api: PlanningApi, arguments: str) -> None:
    plans = await api.plans_of(f"{{ deviceStatistics({arguments}) {{ count }} }}")
    (plan,) = [plan for plan in plans if any("device_key" in line for line in plan)]
    assert [line for line in plan if STATISTICS[arguments] in line], plan
    assert scanned(plan) == []


async def test_failures_of_a_model_are_read_by_its_devices(api: PlanningApi) -> None:
    plans = await api.plans_of("{ failureStatistics(filterBy: {hardwareLicenseId: {eq: 7}}) { count } }")
    (plan,) = [plan for plan in plans if any("test_result" in line for line in plan)]
    for index in ("ix_device_key_hardware_license_id_device_id", "ix_test_result_device_id_kind_position"):
        assert [line for line in plan if index in line], plan
    assert scanned(plan) == []


@pytest.fixture(scope="module")
def long_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API on 400 devices in 100 blocks, each with a grant to one user and a factory reset."""
    url = f"sqlite:///{tmp_path_factory.mktemp('long') / 'long.db'}"
    engine = open_engine(url)
    node = FakeNode(chain_id=1)
    for block in range(100):
        tokens = range(4 * block, 4 * block + 4)
        node.mine(
            *(
                emitted(
                    "CertificateMinted",
                    tokenId=token,
                    serialNumber=f"SN{token:03}",
                    imei=str(token),
                    manufacturedAt=1_600_000_000 + token,
                )
                for token in tokens
            ),
            *(emitted("UserAuthorized", tokenId=token, user=USER, organization="O") for token in tokens),
            *(emitted("FactoryReset", tokenId=token) for token in tokens),
        )
    asyncio.run(Indexer(engine, node).catch_up())
    with engine.begin() as connection:
        for index in SECONDARY_INDEXES:
            connection.exec_driver_sql(index.ddl)
    api = Api(url)
    yield api
    api.engine.dispose()
    engine.dispose()


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["MINTED_AT", "SERIAL_NUMBER", "MANUFACTURED_AT", "LAST_UPDATED_AT", "TOKEN_ID"])
async def test_a_page_at_the_end_of_a_list_takes_as_many_steps_as_one_at_its_begin(
    long_list: Api, field: str, direction: str
) -> None:
    order = f"orderBy: {{field: {field}, direction: {direction}}}"
    (listed,) = (await long_list.ask(f"{{ devices(first: 100, {order}) {{ edges {{ cursor }} }} }}")).values()
    early = listed["edges"][10]["cursor"]
    late = listed["edges"][-1]["cursor"]
    for _ in range(2):
        (listed,) = (
            await long_list.ask(f'{{ devices(first: 100, after: "{late}", {order}) {{ edges {{ cursor }} }} }}')
        ).values()
        late = listed["edges"][-1]["cursor"]
    steps = []
    for cursor in (early, late):
        for page in (f'first: 5, after: "{cursor}"', f'last: 5, before: "{cursor}"'):
            steps.append(await _steps(long_list, f"{{ devices({page}, {order}) {{ nodes {{ tokenId }} }} }}"))
    assert max(steps) < 2 * min(steps)


OF_OTHER_ROWS = [
    f'authorizedUser: {{user: {{eq: "{USER}"}}}}',
    'authorizedUser: {organization: {eq: "O"}}',
    'factoryResetsSince: {since: "2000-01-01T00:00:00Z", count: {gt: 0}}',
    "imeiUnique: {eq: FAIL}",
]


@pytest.mark.parametrize("condition", OF_OTHER_ROWS)
async def test_the_feed_compares_the_device_of_each_event_with_few_rows(long_list: Api, condition: str) -> None:
    steps = []
    for of_device in ('manufacturedAt: {gt: "2000-01-01T00:00:00Z"}', condition):
        query = f"{{ changes(first: 100, filterBy: {{device: {{{of_device}}}}}) {{ messages {{ cursor }} }} }}"
        steps.append(await _steps(long_list, query))
    assert steps[1] < 3 * steps[0], steps


async def _steps(api: Api, query: str) -> int:
    """Returns how many instructions SQLite executes for a query."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    @event.listens_for(api.engine, "before_cursor_execute")
    def watch(connection: Any, *_: Any) -> None:
        connection.connection.driver_connection.set_progress_handler(count, 1)

    await api.ask(query)
    event.remove(api.engine, "before_cursor_execute", watch)
    return steps
