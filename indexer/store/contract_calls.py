"""Stored answers of eth_call, and the facts that they complete."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

from indexer.decode.completion import Answers, Calls, Question, complete, question_of
from indexer.fold.row_changes import Placed

CHUNK = 1000


def completed(connection: Connection, chain_id: int, calls: Calls, facts: list[Placed]) -> list[Placed]:
    """Returns the facts of a batch, completed by the stored answers."""
    asked = {question for placed in facts if (question := question_of(calls, placed)) is not None} if calls else set()
    return complete(calls, facts, load_answers(connection, chain_id, asked)) if asked else facts


def load_answers(connection: Connection, chain_id: int, asked: Iterable[Question]) -> Answers:
    """Returns the newest stored answer to each question that has one."""
    statement = text(
        'SELECT to_address, data, result FROM "call" WHERE chain_id = :chain_id AND data IN :data ORDER BY block_number'
    ).bindparams(bindparam("data", expanding=True))
    data = sorted({question.data for question in asked})
    return {
        Question(bytes(to), bytes(calldata)): bytes(result)
        for start in range(0, len(data), CHUNK)
        for to, calldata, result in connection.execute(
            statement, {"chain_id": chain_id, "data": data[start : start + CHUNK]}
        )
    }
