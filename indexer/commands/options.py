"""Options that several commands have, the parsers of their values, and the file that `-o` names."""

import argparse
import sys
from pathlib import Path

from indexer.errors import Stop


def add_range(parser: argparse.ArgumentParser) -> None:
    """Adds `--from` and `--to`, read as `first` and `last`."""
    parser.add_argument(
        "--from", dest="first", type=block_number, metavar="BLOCK", help="first block; default: the first watched block"
    )
    parser.add_argument(
        "--to", dest="last", type=block_number, metavar="BLOCK", help="last block; default: the last finalized one"
    )


def check_indexed(chain_id: int, last: int, indexed: int) -> None:
    """Raises Stop if the value of `--to` lies above the indexed block."""
    if last > indexed:
        raise Stop(f"--to {last}: chain {chain_id} is indexed to block {indexed}.")


def add_out(parser: argparse.ArgumentParser) -> None:
    """Adds `-o`, the file to write."""
    parser.add_argument("-o", dest="out", type=Path, metavar="FILE", help="file to write; default: standard output")


def write_document(data: bytes, out: Path | None) -> None:
    """Writes a document to a file, or to standard output. Raises Stop if the file cannot be written."""
    if out is None:
        sys.stdout.buffer.write(data)
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise Stop(f"{out} cannot be written: {error.strerror}") from None


def block_number(value: str) -> int:
    """Takes a block number."""
    if not (value.isascii() and value.isdigit() and len(value) < 14):
        raise argparse.ArgumentTypeError(f'"{value}" is not a block number. Example: --to 35000000')
    return int(value)


def device_count(value: str) -> int:
    """Takes a number of devices, 1 or more."""
    if not (value.isascii() and value.isdigit() and int(value[:10]) > 0 and len(value) < 10):
        raise argparse.ArgumentTypeError(f'"{value}" is not a number of devices. Example: --sample 100')
    return int(value)
