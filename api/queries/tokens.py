"""From a token to the id of the identity that it names."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, select

from api.queries.sql.fields import UINT256_MAX
from api.queries.sql.prepared import fetch

Token = tuple[int, bytes, int]
"""Chain id, contract, token id."""


def token_ids(connection: Connection, tokens: Sequence[Token], table: Table) -> list[int | None]:
    """Returns the id of each token in a table of identities, None if it is not there."""
    columns = table.c
    rows = connection.execute(
        select(columns.chain_id, columns.contract, columns.token_id, columns.id).where(
            columns.chain_id.in_({chain_id for chain_id, _, _ in tokens}),
            columns.contract.in_({contract for _, contract, _ in tokens}),
            columns.token_id.in_({token_id for _, _, token_id in tokens}),
        )
    )
    ids = {(row.chain_id, row.contract, row.token_id): row.id for row in rows}
    return [ids.get(token) for token in tokens]


def tokens_of(connection: Connection, ids: Sequence[tuple[int, int]], table: Table) -> list[Token | None]:
    """Returns the token of each (chain id, id) in a table of identities, None if it is not there."""
    columns = table.c
    rows = connection.execute(
        select(columns.chain_id, columns.id, columns.contract, columns.token_id).where(
            columns.chain_id.in_({chain_id for chain_id, _ in ids}), columns.id.in_({id for _, id in ids})
        )
    )
    tokens = {(row.chain_id, row.id): (row.chain_id, row.contract, row.token_id) for row in rows}
    return [tokens.get(id) for id in ids]


def ids_of_numbers(connection: Connection, numbers: Sequence[tuple[int, int]], table: Table) -> list[list[int]]:
    """Returns the ids of all tokens with each (chain id, token id), whatever their contracts, in order."""
    ids: dict[tuple[int, int], list[int]] = {number: [] for number in numbers}
    for chain_id in {chain_id for chain_id, _ in numbers}:
        token_ids = [token_id for of, token_id in ids if of == chain_id and 0 <= token_id <= UINT256_MAX]
        if not token_ids:
            continue
        # a power of two parameters, so that there are few statements; the last token id fills those left over
        count = 1 << (len(token_ids) - 1).bit_length()
        values = {f"token_{place}": token_ids[min(place, len(token_ids) - 1)] for place in range(count)}
        for row in fetch(connection, _of_numbers(table, count), values | {"chain_id": chain_id}):
            ids[chain_id, row.token_id].append(row.id)
    return [ids[number] for number in numbers]


@cache
def _of_numbers(table: Table, count: int) -> Select[Any]:
    columns = table.c
    token_ids = [bindparam(f"token_{place}", type_=columns.token_id.type) for place in range(count)]
    of_chain = columns.chain_id == bindparam("chain_id", type_=columns.chain_id.type)
    return select(columns.token_id, columns.id).where(of_chain, columns.token_id.in_(token_ids)).order_by(columns.id)
