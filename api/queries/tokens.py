"""From the name of a thing on its chain to the id that rows know it by."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, select

Token = tuple[int, bytes, int]
"""Chain id, contract, token id."""


def token_ids(connection: Connection, table: Table, names: Sequence[Token]) -> list[int | None]:
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
