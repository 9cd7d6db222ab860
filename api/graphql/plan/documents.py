"""Keeps valid documents, so that the next request with the same text need not be parsed and validated."""

from cachetools import LRUCache
from graphql import DocumentNode, OperationDefinitionNode
from strawberry import Schema

from api.graphql.plan.operations import Operation

MAX_TOKENS = 100_000
"""Of all kept documents. A token takes up to 1 kB, with its part of a plan."""

MAX_DOCUMENT_TOKENS = 5_000
"""A longer document is not kept."""


class ValidDocument:
    """A document that was parsed and validated, with its operations. `is_logged`: its fallback is in the log."""

    def __init__(self, schema: Schema, text: str, node: DocumentNode) -> None:
        self.text = text
        self.node = node
        self._schema = schema
        self._operations: dict[int, Operation] = {}
        self.is_logged = False

    def operation(self, node: OperationDefinitionNode) -> Operation:
        """Returns the operation of a node of the document."""
        operation = self._operations.get(id(node))
        if operation is None:
            operation = self._operations[id(node)] = Operation(self._schema, self.node, node)
        return operation


class DocumentCache:
    """The valid documents that were used last, by their text."""

    def __init__(self) -> None:
        self._documents: LRUCache[str, ValidDocument] = LRUCache(MAX_TOKENS, lambda document: document.node.token_count)

    def find(self, text: str) -> ValidDocument | None:
        """Returns the document of a text; None if the text was not validated before."""
        return self._documents.get(text)

    def keep(self, text: str, document: ValidDocument) -> None:
        """Keeps a valid document."""
        if document.node.token_count <= MAX_DOCUMENT_TOKENS:
            self._documents[text] = document
