"""The document of a request: the one it contains, or one that it names by its hash.

Automatic persisted queries, by Apollo's protocol: a client sends only the SHA-256 of its document. If the hash is not
found here, the client sends it together with the document once, and the hash alone from then on.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Protocol

from cachetools import LRUCache

from api.graphql.errors import BadUserInput, Code, Refusal
from api.graphql.request import GraphQLRequest

MAX_BYTES = 16_000_000
"""Of all kept documents; the least recently used are dropped first."""

ENTRY_BYTES = 200
"""Memory of an entry beside its text."""


class PersistedQueryNotFound(Refusal):
    code = Code.PERSISTED_QUERY_NOT_FOUND

    def __init__(self, message: str = "PersistedQueryNotFound") -> None:
        # clients compare this text
        super().__init__(message)


class DocumentSource(Protocol):
    """Finds the documents of requests."""

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises Refusal."""


class PersistedQueries:
    """The documents that clients have sent with their hash. Belongs to one process."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._texts: LRUCache[str, bytes] = LRUCache(max_bytes, lambda text: ENTRY_BYTES + len(text))

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises PersistedQueryNotFound, BadUserInput."""
        if request.hash is None:
            if request.document_id is not None and not request.query:
                raise PersistedQueryNotFound("documentId: this service has no trusted documents; send the query.")
            return request
        if request.query:
            self._keep(request.hash, request.query.encode())
            return request
        text = self._texts.get(request.hash)
        if text is None:
            raise PersistedQueryNotFound
        return replace(request, query=text.decode())

    def _keep(self, hash: str, text: bytes) -> None:
        actual = sha256(text).hexdigest()
        if actual != hash:
            raise BadUserInput(
                f"extensions.persistedQuery.sha256Hash is {hash}, but that of the query is {actual}: send the SHA-256 "
                "of the query as it is sent, in UTF-8."
            )
        if ENTRY_BYTES + len(text) <= self._texts.maxsize:
            self._texts[hash] = text
