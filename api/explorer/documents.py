"""The GraphQL documents of the pages, and the fragments that they share."""

import re
from pathlib import Path

FRAGMENTS = Path(__file__).parent / "fragments"
SPREAD = re.compile(r"\.\.\.\s*(?!on\b)(\w+)")
DEFINITION = re.compile(r"^fragment (\w+) on ", re.MULTILINE)


def load_document(path: Path) -> str:
    """Returns the document of a file, followed by the shared fragments that it names, directly or through others.

    The fragment `Event` is in `fragments/Event.graphql`. Raises FileNotFoundError for a fragment that nobody defines.
    """
    text = path.read_text("utf-8").strip()
    while missing := sorted(set(SPREAD.findall(text)) - set(DEFINITION.findall(text))):
        text += "\n\n" + (FRAGMENTS / f"{missing[0]}.graphql").read_text("utf-8").strip()
    return text + "\n"
