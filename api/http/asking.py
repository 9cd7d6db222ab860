"""Requests of the doors beside `/graphql`: they are answered as those of any client, and limited like them."""

from typing import Any

import msgspec
from starlette.types import Scope

from api.answering.admission import Admission
from api.answering.answers import Answers, Charge, refused
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.http.rates import Rates

Json = dict[str, Any]


class Asking:
    """Asks documents as any client does: admitted, counted and limited."""

    def __init__(self, answers: Answers, admission: Admission, rates: Rates) -> None:
        self._answers = answers
        self._admission = admission
        self._rates = rates

    def count(self, scope: Scope) -> None:
        """Counts a request of a client. Raises RateLimited."""
        self._rates.client(scope).take_request()

    def charge(self, scope: Scope) -> Charge:
        """Returns what charges the client of a request with the cost of its documents."""
        return self._rates.client(scope).take_cost

    async def ask(self, request: GraphQLRequest, charge: Charge) -> Json:
        """Returns the response, which has data, errors or both."""
        try:
            answer = await self._answers.answer(request, self._admission, charge)
        except Refusal as refusal:
            answer = refused(refusal)
        response: Json = msgspec.json.decode(answer.body)
        return response
