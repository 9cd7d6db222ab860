"""Which document a request means: the one that it brings, or one that it names by its hash.

Automatic persisted queries, by Apollo's protocol: a client sends only the SHA-256 of its document. Where we do not know
it, the client sends hash and document once, and from then on the hash alone will do.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Protocol

from cachetools import LRUCache

from api.graphql.errors import BadUserInput, Code, Refusal
from api.graphql.request import GraphQLRequest

MAX_BYTES = 16_000_000
"""Of all documents that are remembered; those not asked for longest are forgotten first."""

ENTRY_BYTES = 200
"""What an entry takes beside its text."""


class PersistedQueryNotFound(Refusal):
    code = Code.PERSISTED_QUERY_NOT_FOUND

    def __init__(self, message: str = "PersistedQueryNotFound") -> None:
        # clients compare this text
        super().__init__(message)


class DocumentSource(Protocol):
    """Finds the documents of requests."""

    def resolve(self, asked: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises Refusal."""


class PersistedQueries:
    """The documents that clients have sent with their hash. Belongs to one process."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._texts: LRUCache[str, bytes] = LRUCache(max_bytes, lambda text: ENTRY_BYTES + len(text))

    def resolve(self, asked: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises PersistedQueryNotFound, BadUserInput."""
        if asked.hash is None:
            if asked.document_id is not None and not asked.query:
                raise PersistedQueryNotFound("documentId: this service has no trusted documents; send the query.")
            return asked
        if asked.query:
            self._remember(asked.hash, asked.query.encode())
            return asked
        text = self._texts.get(asked.hash)
        if text is None:
            raise PersistedQueryNotFound
        return replace(asked, query=text.decode())

    def _remember(self, hash: str, text: bytes) -> None:
        found = sha256(text).hexdigest()
        if found != hash:
            raise BadUserInput(
                f"extensions.persistedQuery.sha256Hash is {hash}, but that of the query is {found}: send the SHA-256 "
                "of the query as it is sent, in UTF-8."
            )
        if ENTRY_BYTES + len(text) <= self._texts.maxsize:
            self._texts[hash] = text
