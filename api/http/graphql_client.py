"""The GraphQL client of the other endpoints in this process: explorer, MCP, EPCIS, credentials."""

from typing import Any

import msgspec
from starlette.types import Scope

from api.answering.admission import Admission
from api.answering.answers import Answers, Charge, refused
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.http.rates import Rates

Json = dict[str, Any]


class GraphQLClient:
    """Executes documents without HTTP, with the admission and the rate limits of requests to `/graphql`."""

    def __init__(self, answers: Answers, admission: Admission, rates: Rates) -> None:
        self._answers = answers
        self._admission = admission
        self._rates = rates

    def count(self, scope: Scope) -> None:
        """Counts an HTTP request of its sender. Raises RateLimited."""
        self._rates.client(scope).take_request()

    def charge(self, scope: Scope) -> Charge:
        """Returns the function that charges the sender of an HTTP request with the cost of its documents."""
        return self._rates.client(scope).take_cost

    async def execute(self, request: GraphQLRequest, charge: Charge) -> Json:
        """Returns the response, which has data, errors or both."""
        try:
            answer = await self._answers.answer(request, self._admission, charge)
        except Refusal as refusal:
            answer = refused(refusal)
        response: Json = msgspec.json.decode(answer.body)
        return response
