"""The HTTP endpoint: JSON in, JSON out, and the reason for each root field that has no value."""

import asyncio
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    parse,
)
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.answering.admission import Admission
from api.answering.answers import Answer, Answers
from api.dimo.absent import REASONS
from api.graphql.errors import Refusal
from api.http.disconnects import Endpoint, while_connected
from api.http.rates import Rates
from api.http.requests import JSON, RequestError, read_request
from api.http.responses import answer_response, refusal_response
from api.queries.sql import tables
from api.settings import Settings

PATH = "/query"


class DimoEndpoint(Endpoint):
    """An ASGI application. One request reads one snapshot of the database.

    With the setting `auto`, requests are refused until the database has a chain of the profile `dimo`.
    """

    def __init__(
        self, engine: Engine, answers: Answers, admission: Admission, rates: Rates, settings: Settings
    ) -> None:
        self._engine = engine
        self.answers = answers
        self._admission = admission
        self._rates = rates
        self._settings = settings
        self._is_served = settings.dimo_api == "on"

    async def respond(self, request: Request) -> ASGIApp:
        try:
            if request.method != "POST":
                raise RequestError(405, f"{request.method} is not answered: send POST.", {"Allow": "POST"})
            client = self._rates.client(request.scope)
            client.take_request()
            self._is_served = self._is_served or await asyncio.to_thread(self._is_of_dimo)
            if not self._is_served:
                raise RequestError(404, NOT_OF_DIMO)
            query = await read_request(request, self._settings.max_body_bytes)
            async with while_connected(request):
                answer = await self.answers.answer(query, self._admission, client.take_cost)
        except (Refusal, RequestError) as error:
            return refusal_response(error, JSON)
        response: Response = answer_response(_with_reasons(answer, query.query), JSON)
        return response

    def _is_of_dimo(self) -> bool:
        chain = tables.chain.c
        try:
            with self._engine.connect() as connection:
                row = connection.execute(select(chain.chain_id).where(chain.profile == "dimo").limit(1)).first()
        except DBAPIError:
            return True  # the response has the error of the database
        return row is not None


NOT_OF_DIMO = "The database has no chain of the profile dimo. DIMO_API=on serves /query with another profile."


def _with_reasons(answer: Answer, query: str) -> Answer:
    """Adds `extensions.notIndexed`: the reason of each root field of the query that no watched contract carries."""
    reasons = {name: REASONS[name] for name in _field_names(query) if name in REASONS} if answer.executed else {}
    if not reasons:
        return answer
    body: dict[str, Any] = msgspec.json.decode(answer.body)
    body["extensions"] = {**body.get("extensions", {}), "notIndexed": reasons}
    return answer._replace(body=msgspec.json.encode(body))


def _field_names(query: str) -> set[str]:
    """Returns the names of the fields that the operations of a document select at their root, or in a fragment."""
    try:
        document = parse(query)
    except GraphQLError:
        return set()
    waiting: list[SelectionNode] = []
    for part in document.definitions:
        if isinstance(part, OperationDefinitionNode | FragmentDefinitionNode):
            waiting.extend(part.selection_set.selections)
    names: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, FieldNode):
            names.add(node.name.value)
        elif isinstance(node, InlineFragmentNode):
            waiting.extend(node.selection_set.selections)
    return names
