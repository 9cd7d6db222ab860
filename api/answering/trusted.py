"""Trusted documents: if a manifest lists them, only they are executed, and requests name them by id.

A manifest is a JSON object of ids and documents, as Relay and graphql-codegen write it, or Apollo's manifest of
persisted queries. An id that looks like a SHA-256 must be the hash of its document.
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
    """The documents of a manifest by id. Any other document is refused."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """Returns the request with its document. Raises NotTrusted, PersistedQueryNotFound, BadUserInput."""
        id = request.document_id or request.hash
        if id is None:
            raise NotTrusted('Only trusted documents are executed here: send the id of one as "documentId".')
        text = self._texts.get(id) or self._texts.get(id.removeprefix("sha256:"))
        if text is None:
            raise PersistedQueryNotFound(
                f'"{id[:200]}" is not the id of a trusted document, and no other document is executed here.'
            )
        if request.query not in ("", text):
            raise BadUserInput(f'The query is not the trusted document "{id[:200]}": send only the id.')
        return replace(request, query=text)


def load_trusted(path: Path, schema: GraphQLSchema, ours: Mapping[str, str]) -> TrustedDocuments:
    """Returns `ours`, and the documents of a manifest or of all *.json files in a folder. Raises SettingsError."""
    try:
        return TrustedDocuments({**ours, **_read_all(path, schema)})
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
        raise ValueError("it lists no document.")
    return texts


def _entries(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        pairs = json.loads(file.read_text("utf-8"), object_pairs_hook=list)
    except UnicodeError as error:
        raise ValueError(f"{file.name} is not UTF-8: {error}.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file.name} is not JSON: {error}.") from None
    if not _is_object(pairs):
        raise ValueError(f"{file.name} is not a JSON object.")
    manifest = dict(pairs)
    if manifest.get("format") != APOLLO:
        yield from pairs
        return
    for number, operation in enumerate(manifest.get("operations") or ()):
        entry = dict(operation) if _is_object(operation) else {}
        if not isinstance(entry.get("id"), str):
            raise ValueError(f"{file.name}, operation {number}: it has no id.")
        yield entry["id"], entry.get("body")


def _is_object(value: Any) -> bool:
    """Returns whether JSON, parsed with objects as lists of pairs, is an object. An empty list counts as one."""
    return isinstance(value, list) and all(isinstance(pair, tuple) for pair in value)


def _check(place: str, id: str, text: Any, schema: GraphQLSchema) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{place}: its document is not a string.")
    actual = sha256(text.encode()).hexdigest()
    if re.fullmatch("(sha256:)?[0-9a-f]{64}", id) and id.removeprefix("sha256:") != actual:
        raise ValueError(f"{place}: the id is a SHA-256, but that of the document is {actual}.")
    try:
        errors = validate(schema, parse(text))
    except GraphQLError as error:
        errors = [error]
    if errors:
        raise ValueError(f"{place}: {errors[0].message}")
