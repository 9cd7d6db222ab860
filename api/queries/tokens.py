"""From the name of a thing on its chain to the id that rows know it by."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, select

from api.queries.sql.filters import UINT256_MAX
from api.queries.sql.prepared import fetch

Token = tuple[int, bytes, int]
"""Chain id, contract, token id."""


def token_ids(connection: Connection, names: Sequence[Token], table: Table) -> list[int | None]:
    """Returns the id of each token in a table of devices, manufacturers or licences; None for one that is not there."""
    columns = table.c
    rows = connection.execute(
        select(columns.chain_id, columns.contract, columns.token_id, columns.id).where(
            columns.chain_id.in_({chain_id for chain_id, _, _ in names}),
            columns.contract.in_({contract for _, contract, _ in names}),
            columns.token_id.in_({token_id for _, _, token_id in names}),
        )
    )
    found = {(row.chain_id, row.contract, row.token_id): row.id for row in rows}
    return [found.get(name) for name in names]


def ids_of_numbers(connection: Connection, names: Sequence[tuple[int, int]], table: Table) -> list[list[int]]:
    """Returns the ids of all tokens of each (chain id, token id), whatever their contracts, in order."""
    found: dict[tuple[int, int], list[int]] = {name: [] for name in names}
    for chain_id in {chain_id for chain_id, _ in names}:
        asked = [token_id for of, token_id in found if of == chain_id and 0 <= token_id <= UINT256_MAX]
        if not asked:
            continue
        # few statements are kept, whatever the number of tokens: the last one fills what is left
        count = 1 << (len(asked) - 1).bit_length()
        values = {f"token_{place}": asked[min(place, len(asked) - 1)] for place in range(count)}
        for row in fetch(connection, _of_numbers(table, count), values | {"chain_id": chain_id}):
            found[chain_id, row.token_id].append(row.id)
    return [found[name] for name in names]


@cache
def _of_numbers(table: Table, count: int) -> Select[Any]:
    columns = table.c
    asked = [bindparam(f"token_{place}", type_=columns.token_id.type) for place in range(count)]
    of_chain = columns.chain_id == bindparam("chain_id", type_=columns.chain_id.type)
    return select(columns.token_id, columns.id).where(of_chain, columns.token_id.in_(asked)).order_by(columns.id)
