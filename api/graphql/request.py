"""A GraphQL request, whichever transport brought it."""

from dataclasses import dataclass
from typing import Any

from api.graphql.inputs.min_block import MinBlock


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One request to execute an operation.

    `hash` (SHA-256, lower-case hex) or `document_id` may name the document instead; `query` is empty then.
    The request waits until block `min_block` is indexed.
    """

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    hash: str | None = None
    document_id: str | None = None
    min_block: MinBlock | None = None
