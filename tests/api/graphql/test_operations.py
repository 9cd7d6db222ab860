"""Every operation of operations.graphql is valid, and is answered for every set of sample variables."""
# fixtures are imported, and arguments bear their names

from graphql import parse, validate

from tests.support.api.asking import SCHEMA, Api
from tests.support.api.operations import FILE, OPERATIONS, REFUSED, samples


def test_the_operations_are_of_the_schema() -> None:
    assert validate(SCHEMA._schema, parse(FILE.read_text())) == []
    assert len(OPERATIONS) == 30


async def test_every_operation_is_answered(api: Api) -> None:
    variables = await samples(api.ask)
    assert variables.keys() == OPERATIONS.keys()
    for name in OPERATIONS.keys() - {"Q29Resume"}:
        for values in variables[name]:
            answer = await api.answer(OPERATIONS[name], **values)
            assert ("errors" in answer) == (name in REFUSED), (name, values, answer)
