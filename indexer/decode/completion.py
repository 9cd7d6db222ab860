"""Facts completed by what a contract answered: an old event leaves out what the contract knows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from indexer.fold.row_changes import Placed
from schema.events import DeviceMinted, ManufacturerMinted
from schema.profile.calls import CallField, CompiledCall

Calls = Mapping[CallField, CompiledCall]


class Question(NamedTuple):
    """A call: the contract, and the calldata."""

    to: bytes
    data: bytes


Answers = Mapping[Question, bytes]


def question_of(calls: Calls, placed: Placed) -> Question | None:
    """Returns what to ask for what the fact leaves out; None where nothing is missing, or nothing tells it."""
    asked = missing_from(calls, placed)
    return None if asked is None else Question(asked[0].to, asked[0].data(asked[1]))


def missing_from(calls: Calls, placed: Placed) -> tuple[CompiledCall, int] | None:
    """Returns the call that would tell what the fact leaves out, and the id to ask about."""
    match placed.fact:
        case DeviceMinted(manufacturer_id=None, token_id=id) if CallField.MANUFACTURER in calls:
            return calls[CallField.MANUFACTURER], id
        case ManufacturerMinted(name=None, manufacturer_id=id) if CallField.MANUFACTURER_NAME in calls:
            return calls[CallField.MANUFACTURER_NAME], id
        case _:
            return None


def complete(calls: Calls, facts: Sequence[Placed], answers: Answers) -> list[Placed]:
    """Returns the facts, completed where there is an answer that says something."""
    return [_completed(calls, placed, answers) for placed in facts]


def _completed(calls: Calls, placed: Placed, answers: Answers) -> Placed:
    question = question_of(calls, placed)
    answer = None if question is None else answers.get(question)
    if answer is None:
        return placed
    if isinstance(placed.fact, DeviceMinted):
        call = calls[CallField.MANUFACTURER]
        fact = msgspec.structs.replace(placed.fact, manufacturer_id=call.value(answer))
        return msgspec.structs.replace(placed, fact=fact, manufacturer_contract=call.manufacturer_contract)
    name = calls[CallField.MANUFACTURER_NAME].value(answer)
    return msgspec.structs.replace(placed, fact=msgspec.structs.replace(placed.fact, name=name))
