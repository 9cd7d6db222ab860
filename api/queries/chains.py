"""How far each network is indexed, and what is watched in it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from api.queries import tables


def chains(connection: Connection) -> Mapping[int, Row[Any]]:
    """Returns the row of each network by its id."""
    rows = connection.execute(select(tables.chain).order_by(tables.chain.c.chain_id))
    return {row.chain_id: row for row in rows}


def contracts(connection: Connection) -> Mapping[int, tuple[Row[Any], ...]]:
    """Returns what is watched in each network, by role and address."""
    columns = tables.contract.c
    found: dict[int, tuple[Row[Any], ...]] = {}
    for row in connection.execute(select(tables.contract).order_by(columns.chain_id, columns.role, columns.address)):
        found[row.chain_id] = (*found.get(row.chain_id, ()), row)
    return found
