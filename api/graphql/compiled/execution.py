"""Runs a plan in waves, from the root of the response to its leaves."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues

from api.graphql.context import Context
from api.reading.batching import ThreadQueryRunner


class NotAnswered(Exception):
    """The response has an error, or may have one: graphql-core must execute the request. `reason` is one word."""

    def __init__(self, message: str, reason: str = "value") -> None:
        super().__init__(message)
        self.reason = reason


class PendingValue(NamedTuple):
    """The coroutine of a resolver, and the place of its value in the response."""

    value: Coroutine[Any, Any, Any]
    response: dict[str, Any]
    key: str
    complete: "Complete"


class Run:
    """One execution of a plan. The `arguments` of a resolver are made at its first call."""

    __slots__ = ("arguments", "context", "pending", "variables")

    def __init__(self, context: Context, variables: VariableValues) -> None:
        self.context = context
        self.variables = variables
        self.arguments: dict[Any, dict[str, Any]] = {}
        self.pending: list[PendingValue] = []


Complete = Callable[[Any, Run], Any]
"""Returns the value of a resolver as the response contains it."""

Select = Callable[[Any, Run], dict[str, Any]]
"""Returns the selected fields of an object."""

Step = Callable[[Any, dict[str, Any], Run], None]
"""Writes one field of an object into the response."""

Plan = Select
"""Returns the selected fields of the root."""


def run_plan(plan: Plan, context: Context, variables: VariableValues) -> dict[str, Any]:
    """Returns the data of a response without errors. Raises NotAnswered, and what a resolver raises.

    Reads the database in the calling thread.
    """
    runner = context.runner
    assert isinstance(runner, ThreadQueryRunner)  # the other runner needs an event loop
    run = Run(context, variables)
    try:
        data = plan(None, run)
        while run.pending:
            wave, run.pending = run.pending, []
            values = runner.run([field.value for field in wave])
            for field, value in zip(wave, values, strict=True):
                field.response[field.key] = field.complete(value, run)
        return data
    finally:
        for field in run.pending:
            field.value.close()
