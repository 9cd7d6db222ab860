"""From the name of a thing on its chain to the id that rows know it by."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, select

from api.queries.filters import UINT256_MAX

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
    columns = table.c
    known = {(chain_id, token_id) for chain_id, token_id in names if 0 <= token_id <= UINT256_MAX}
    rows = connection.execute(
        select(columns.chain_id, columns.token_id, columns.id)
        .where(
            columns.chain_id.in_({chain_id for chain_id, _ in known}),
            columns.token_id.in_({token_id for _, token_id in known}),
        )
        .order_by(columns.id)
    )
    found: dict[tuple[int, int], list[int]] = {name: [] for name in names}
    for row in rows:
        if (row.chain_id, row.token_id) in found:
            found[row.chain_id, row.token_id].append(row.id)
    return [found[name] for name in names]
