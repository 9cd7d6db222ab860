"""The parameters of an export's address, and the address at which a broken download goes on."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from api.graphql.errors import BadUserInput
from api.http.as_of import as_of_variable
from api.http.requests import parse_json

JSON_PARAMETERS = ("filter", "orderBy")
AFTER = "after"


def parse_parameters(parameters: QueryParams, known: Sequence[str]) -> dict[str, Any]:
    """Returns the values of the parameters of an address, as variables of a query; an empty one counts as absent.

    Raises BadUserInput, RequestError.
    """
    variables: dict[str, Any] = {}
    for name, text in parameters.multi_items():
        if name not in known:
            raise BadUserInput(f'There is no parameter "{name[:80]}" here. Parameters: {", ".join(known)}.')
        if name in variables:
            raise BadUserInput(f'The parameter "{name}" is given twice: give it once.')
        if text:
            variables[name] = _value(name, text)
    return variables


def _value(name: str, text: str) -> Any:
    if name in JSON_PARAMETERS or (name == "asOf" and text.startswith("{")):
        return parse_json(text, f'The parameter "{name}"')
    return as_of_variable(text, name) if name == "asOf" else text


def address_at(path: str, parameters: QueryParams, at: str) -> str:
    """Returns the address of the same rows at the same block, whatever is indexed later."""
    kept = [(name, text) for name, text in parameters.multi_items() if text and name not in ("at", AFTER)]
    return f"{path}?{urlencode([*kept, ('at', at)])}"
