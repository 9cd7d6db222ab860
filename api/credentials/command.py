"""`certindex-api keys new FILE`: makes a key that signs credentials."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from api.credentials.keys import new_key
from schema.program.output import written_out
from schema.program.settings import SettingsError


def run_keys(arguments: Sequence[str]) -> int:
    """Writes a new private key to a file that only its owner may read. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="certindex-api keys", description="Make a key that signs credentials.")
    parser.add_argument("action", choices=("new",), help="new: write a new Ed25519 key")
    parser.add_argument("file", type=Path, help="the file to write, as PEM; one that exists is not overwritten")
    options = parser.parse_args(arguments)
    try:
        _write(options.file, new_key())
    except FileExistsError:
        return _failed(parser, f"{options.file} exists, and is not overwritten: name another file.")
    except OSError as error:
        return _failed(parser, f"{options.file} cannot be written: {error.strerror}.")
    except SettingsError as error:
        return _failed(parser, str(error))
    with written_out(parser.prog):
        sys.stdout.write(f"{options.file} has a new key. Keep it secret, and set SIGNING_KEY={options.file}\n")
    return 0


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _failed(parser: argparse.ArgumentParser, message: str) -> int:
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return 2
