"""Stored results of eth_call, which complete facts that leave something out."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

from schema.profile.calls import ContractCall

CHUNK = 1000


def load_results(connection: Connection, chain_id: int, calls: Iterable[ContractCall]) -> dict[ContractCall, bytes]:
    """Returns the newest stored result of each call that has one, and of other calls with the same calldata."""
    statement = text(
        'SELECT to_address, data, result FROM "call" WHERE chain_id = :chain_id AND data IN :data ORDER BY block_number'
    ).bindparams(bindparam("data", expanding=True))
    data = sorted({call.data for call in calls})
    return {
        ContractCall(bytes(to), bytes(calldata)): bytes(result)
        for start in range(0, len(data), CHUNK)
        for to, calldata, result in connection.execute(
            statement, {"chain_id": chain_id, "data": data[start : start + CHUNK]}
        )
    }
