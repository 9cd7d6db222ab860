"""Trusted documents: where a manifest names them, they alone are executed, asked for by their ids.

A manifest is a JSON object of ids and documents, as Relay and graphql-codegen write it, or Apollo's manifest of
persisted queries. An id that is a SHA-256 must be that of its document.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, parse, validate

from api.answering.persisted import PersistedQueryNotFound
from api.graphql.errors import BadUserInput, Code, Refusal
from api.graphql.request import GraphQLRequest
from schema.program.settings import SettingsError

APOLLO = "apollo-persisted-query-manifest"
EXAMPLE = '{"a-unique-id": "query Devices { devices { totalCount } }"}'


class NotTrusted(Refusal):
    code = Code.BAD_REQUEST


class TrustedDocuments:
    """The documents of a manifest by their ids; whatever else is asked for is refused."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def resolve(self, asked: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises NotTrusted, PersistedQueryNotFound, BadUserInput."""
        id = asked.document_id or asked.hash
        if id is None:
            raise NotTrusted('Only trusted documents are executed here: send the id of one as "documentId".')
        text = self._texts.get(id) or self._texts.get(id.removeprefix("sha256:"))
        if text is None:
            raise PersistedQueryNotFound(
                f'"{id[:200]}" is the id of no trusted document, and no other is executed here.'
            )
        if asked.query not in ("", text):
            raise BadUserInput(f'The query is not the trusted document "{id[:200]}": send the id alone.')
        return replace(asked, query=text)


def load_trusted(path: Path, schema: GraphQLSchema) -> TrustedDocuments:
    """Returns the documents of a manifest, or of all *.json in a folder. Raises SettingsError."""
    try:
        return TrustedDocuments(_read_all(path, schema))
    except OSError as error:
        raise SettingsError(f'TRUSTED_DOCUMENTS is "{path}": it cannot be read: {error.strerror}.') from None
    except ValueError as error:
        raise SettingsError(f'TRUSTED_DOCUMENTS is "{path}": {error} Example of a manifest: {EXAMPLE}') from None


def _read_all(path: Path, schema: GraphQLSchema) -> dict[str, str]:
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    texts: dict[str, str] = {}
    for file in files:
        for id, text in _entries(file):
            place = f'{file.name}, entry "{id}"'
            _check(place, id, text, schema)
            if texts.setdefault(id, text) != text:
                raise ValueError(f"{place}: another document has the same id.")
    if not texts:
        raise ValueError("it names no document.")
    return texts


def _entries(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        pairs = json.loads(file.read_text("utf-8"), object_pairs_hook=list)
    except UnicodeError as error:
        raise ValueError(f"{file.name} is not UTF-8: {error}.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file.name} is not JSON: {error}.") from None
    if not _is_object(pairs):
        raise ValueError(f"{file.name} is no JSON object.")
    manifest = dict(pairs)
    if manifest.get("format") != APOLLO:
        yield from pairs
        return
    for number, operation in enumerate(manifest.get("operations") or ()):
        found = dict(operation) if _is_object(operation) else {}
        if not isinstance(found.get("id"), str):
            raise ValueError(f"{file.name}, operation {number}: it has no id.")
        yield found["id"], found.get("body")


def _is_object(read: Any) -> bool:
    """Tells an object, read as its pairs, from a list; an empty one is either."""
    return isinstance(read, list) and all(isinstance(pair, tuple) for pair in read)


def _check(place: str, id: str, text: Any, schema: GraphQLSchema) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{place}: its document is no text.")
    found = sha256(text.encode()).hexdigest()
    if re.fullmatch("(sha256:)?[0-9a-f]{64}", id) and id.removeprefix("sha256:") != found:
        raise ValueError(f"{place}: the id is a SHA-256, but that of the document is {found}.")
    try:
        errors = validate(schema, parse(text))
    except GraphQLError as error:
        errors = [error]
    if errors:
        raise ValueError(f"{place}: {errors[0].message}")
