"""The GraphQL documents of the pages, and the fragments that they share."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

FRAGMENTS = Path(__file__).parent / "fragments"
SPREAD = re.compile(r"\.\.\.\s*(?!on\b)(\w+)")
DEFINITION = re.compile(r"^fragment (\w+) on ", re.MULTILINE)


def graphiql_address(document: str, variables: Mapping[str, Any]) -> str:
    """Returns the address of GraphiQL with a document and its variables.

    They are in the fragment, which no server receives: a document may be longer than a request line.
    """
    fragment = {"query": document, "variables": json.dumps(variables, indent=2, ensure_ascii=False)}
    return "/graphql#" + "&".join(f"{name}={quote(text, safe='')}" for name, text in fragment.items())


def load_document(path: Path) -> str:
    """Returns the document of a file, followed by the shared fragments that it names, directly or through others.

    The fragment `Event` is in `fragments/Event.graphql`. Raises FileNotFoundError for a fragment without a definition.
    """
    text = path.read_text("utf-8").strip()
    while missing := sorted(set(SPREAD.findall(text)) - set(DEFINITION.findall(text))):
        text += "\n\n" + (FRAGMENTS / f"{missing[0]}.graphql").read_text("utf-8").strip()
    return text + "\n"
