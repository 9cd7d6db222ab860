"""Documents that were read and found valid, kept: the next request with the same text needs neither."""

from cachetools import LRUCache
from graphql import DocumentNode, OperationType
from strawberry import Schema

from api.graphql.compiled.operations import Operation
from api.graphql.limits import operation_of

MAX_TOKENS = 100_000
"""Of all documents that are kept. A token takes up to 1 kB, with its part of a plan."""

MAX_DOCUMENT_TOKENS = 5_000
"""A longer document is read anew each time."""


class Document:
    """A valid document."""

    def __init__(self, schema: Schema, node: DocumentNode) -> None:
        self.node = node
        self._schema = schema
        self._operations: dict[str | None, Operation] = {}

    def query(self, name: str | None) -> Operation | None:
        """Returns the query that is asked for; None where it is none, or not plain which."""
        if name not in self._operations:
            node = operation_of(self.node, name)
            if node is None or node.operation is not OperationType.QUERY:
                return None
            self._operations[name] = Operation(self._schema, self.node, node)
        return self._operations[name]


class Documents:
    """The documents asked for last, by their text."""

    def __init__(self) -> None:
        self._documents: LRUCache[str, Document] = LRUCache(MAX_TOKENS, lambda document: document.node.token_count)

    def find(self, text: str) -> Document | None:
        """Returns the document of a text that was found valid before."""
        return self._documents.get(text)

    def keep(self, text: str, document: Document) -> None:
        """Keeps a valid document."""
        if document.node.token_count <= MAX_DOCUMENT_TOKENS:
            self._documents[text] = document
