"""Documents that commands write."""

import sys
from pathlib import Path

from indexer.errors import Stop


def write_document(data: bytes, out: Path | None) -> None:
    """Writes a document to a file, or to standard output. Raises Stop if the file cannot be written."""
    if out is None:
        sys.stdout.buffer.write(data)
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise Stop(f"{out} cannot be written: {error.strerror}") from None
