"""A plan, run: in waves, from the root of the answer to its leaves."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues

from api.graphql.context import Context
from api.reading.batching import ThreadQueryRunner


class NotAnswered(Exception):
    """The answer has an error, or so it seems: graphql-core is to say."""


class Waiting(NamedTuple):
    """A resolver's coroutine, and where in the answer its value belongs."""

    value: Coroutine[Any, Any, Any]
    answer: dict[str, Any]
    key: str
    complete: "Complete"


class Run:
    """One execution of a plan. `arguments` of each resolver are made with its first call."""

    __slots__ = ("arguments", "context", "variables", "waiting")

    def __init__(self, context: Context, variables: VariableValues) -> None:
        self.context = context
        self.variables = variables
        self.arguments: dict[Any, dict[str, Any]] = {}
        self.waiting: list[Waiting] = []


Complete = Callable[[Any, Run], Any]
"""Returns a resolver's value as it is told."""

Select = Callable[[Any, Run], dict[str, Any]]
"""Returns what is selected of an object."""

Step = Callable[[Any, dict[str, Any], Run], None]
"""Reads one field of an object into the answer."""

Plan = Select
"""What is selected of the root."""


def run_plan(plan: Plan, context: Context, variables: VariableValues) -> dict[str, Any]:
    """Returns the data of an answer without errors. Raises whatever a resolver raises, and NotAnswered.

    The context reads in the thread that calls.
    """
    runner = context.runner
    assert isinstance(runner, ThreadQueryRunner)  # no other is completed by a plain call
    run = Run(context, variables)
    try:
        data = plan(None, run)
        while run.waiting:
            wave, run.waiting = run.waiting, []
            values = runner.run([field.value for field in wave])
            for field, value in zip(wave, values, strict=True):
                field.answer[field.key] = field.complete(value, run)
        return data
    finally:
        for field in run.waiting:
            field.value.close()
