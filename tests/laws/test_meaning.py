"""The tables as of every block equal those of a simple model that applies the documented rules."""

import os
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from schema.tables.values import end_of_block, position
from tests.support.chain.fakechain import GENESIS_TIME, FakeNode
from tests.support.chain.histories import BLOCKS, EVENTS, Block, Fact
from tests.support.index import model
from tests.support.index.indexing import index_afresh

EXPLORED = os.environ.get("EXPLORED_EXAMPLES")
"""How many random examples to try instead of the few that are always the same."""


def fact(event_name: str, /, **arguments: Any) -> Fact:
    return Fact(event_name, {argument: values[0] for argument, values in EVENTS[event_name].items()} | arguments)


PROVISIONED_FIRST = [Block(12, [fact("DeviceProvisioned"), fact("QualityInspectionRecorded", passed=True)])]
UNREADABLE_AFTER_NONE = [
    Block(12, [fact("EndOfLifeRecorded", process=1, sanitization=0)]),
    Block(12, [fact("EndOfLifeRecorded", process=2, sanitization=255)]),
]
EXPIRED_AT_THE_SECOND_OF_THE_MINT = [
    Block(1, [fact("ManufacturerLicensed", expiresAt=GENESIS_TIME + 13)]),
    Block(12, [fact("CertificateMinted")]),
]
"""Histories that random generation seldom produces."""


@given(blocks=st.lists(BLOCKS, min_size=1, max_size=10))
@example(blocks=PROVISIONED_FIRST)
@example(blocks=UNREADABLE_AFTER_NONE)
@example(blocks=EXPIRED_AT_THE_SECOND_OF_THE_MINT)
@settings(max_examples=int(EXPLORED or 40), derandomize=EXPLORED is None, deadline=None, print_blob=True, database=None)
def test_as_of_every_block_the_tables_say_what_the_facts_up_to_it_mean(engine: Engine, blocks: list[Block]) -> None:
    node = FakeNode(finality=4)
    for block in blocks:
        block.mine(node)
    tables = index_afresh(engine, node)
    whole = [
        model.placed(position(mined.number, index), mined.timestamp, fact)
        for block, mined in zip(blocks, node.blocks[1:], strict=True)
        for index, fact in enumerate(block.facts)
    ]
    for mined in node.blocks:
        check_as_of(tables, mined.number, [fact for fact in whole if fact.position <= end_of_block(mined.number)])
    check_events(tables, whole)


def check_as_of(tables: dict[str, list[dict[str, Any]]], block_number: int, history: model.History) -> None:
    standing = as_of(tables, block_number)
    devices = model.device_rows(history)
    same("device_version", devices["device_version"], by(standing["device_version"], "device_id"))
    same("device_key", devices["device_key"], by(standing["device_key"], "device_id"))
    same("device_activity", devices["device_activity"], by(standing["device_activity"], "device_id"))
    same("manufacturer", model.manufacturer_rows(history), by(standing["manufacturer_version"], "manufacturer_id"))
    same(
        "hardware_license",
        model.hardware_license_rows(history),
        by(standing["hardware_license_version"], "hardware_license_id"),
    )
    assert model.open_attributes(history) == {
        (row["device_id"], row["name"], row["value"], row["valid_from"]) for row in standing["device_attribute"]
    }
    open_grants = {place for place, grant in model.authorizations(history).items() if grant["end_reason"] is None}
    assert open_grants == {row["valid_from"] for row in standing["authorization"]}


def check_events(tables: dict[str, list[dict[str, Any]]], history: model.History) -> None:
    same("event", {fact.position: model.event(history, fact) for fact in history}, by(tables["event"], "position"))
    same("authorization", model.authorizations(history), by(tables["authorization"], "valid_from"))


def as_of(tables: dict[str, list[dict[str, Any]]], block_number: int) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of spans that hold after a block."""
    at = end_of_block(block_number)
    return {
        table: [row for row in rows if row["valid_from"] <= at < row["valid_to"]]
        for table, rows in tables.items()
        if rows and "valid_from" in rows[0]
    } | {table: [] for table, rows in tables.items() if not rows}


def by(rows: list[dict[str, Any]], key: str) -> dict[int, dict[str, Any]]:
    indexed = {row[key]: row for row in rows}
    assert len(indexed) == len(rows), f"two rows for one {key}"
    return indexed


def same(what: str, meant: dict[int, dict[str, Any]], stored: dict[int, dict[str, Any]]) -> None:
    assert meant.keys() == stored.keys(), what
    for key, row in meant.items():
        differences = {
            column: f"stored {stored[key][column]!r}, meant {value!r}"
            for column, value in row.items()
            if stored[key][column] != value
        }
        assert not differences, f"{what} {key}: {differences}"
