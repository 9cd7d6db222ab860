"""A migrated database has the rows that this release would have written."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect

from schema.tables.database import migrate
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import BLOCKS, Block
from tests.support.index.indexing import index_afresh, read_table


@given(blocks=st.lists(BLOCKS, min_size=1, max_size=6))
@settings(max_examples=8, derandomize=True, deadline=None, database=None)
def test_the_migration_to_0006_writes_the_keys_of_devices(engine: Engine, blocks: list[Block]) -> None:
    node = FakeNode(finality=4)
    for block in blocks:
        block.mine(node)
    folded = index_afresh(engine, node)["device_key"]
    indexes = _indexes(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE device_key")
        connection.exec_driver_sql("CREATE INDEX ix_device_version_address_device_id ON device_version (address)")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
    migrate(engine)
    assert read_table(engine, node.chain_id, "device_key") == folded
    assert _indexes(engine) == indexes


def _indexes(engine: Engine) -> set[str | None]:
    inspector = inspect(engine)
    return {index["name"] for table in ("device_key", "device_version") for index in inspector.get_indexes(table)}
