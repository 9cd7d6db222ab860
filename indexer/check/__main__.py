"""The command: prints PASS, INCOMPLETE or FAIL, with what could not be established or the first difference."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from indexer.check.bundle import Checked
    from schema.bundle.document import Bundle, UnprovenEvent

USAGE_ERROR = 2
INCOMPLETE = 3
SHOWN_BLOCKS = 6
DESCRIPTION = "Checks an audit bundle: no database, no network unless --rpc-url is given."

NOT_ESTABLISHED = (
    "that no other event about the {noun} exists, outside of the transactions that are included: see certindex attest",
    "that these contracts are the right ones to watch: {contracts}",
    "what receipts do not hold and only the indexer states: transaction hashes, log numbers, contracts watched from "
    "their first block, and that block {as_of} was the last one indexed",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Checks a bundle and exits: 0 it passes, 1 it fails, 2 it could not be checked, 3 it is incomplete."""
    options = parser().parse_args(arguments)
    sys.exit(run(options))


def parser() -> argparse.ArgumentParser:
    """Returns the command's options."""
    options = argparse.ArgumentParser(prog="certindex check", description=DESCRIPTION)
    add_arguments(options)
    return options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="the file; - is standard input")
    add_block_hash(parser, "the hash of block N from a source that you trust; may be given several times")
    parser.add_argument(
        "--rpc-url",
        type=_node_url,
        metavar="URL",
        help="a node that you trust: the source of the blocks' hashes",
    )


def add_block_hash(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds the option for block hashes that the reader trusts."""
    parser.add_argument(
        "--block-hash", dest="hashes", action="append", default=[], type=_block_hash, metavar="N=0x...", help=help
    )


def run(options: argparse.Namespace) -> int:
    """Checks the bundle, prints the result and returns the exit status."""
    from indexer.check.bundle import Failed, check_bundle, read_bundle  # imported late: --help appears at once

    try:
        data = sys.stdin.buffer.read() if options.bundle == "-" else Path(options.bundle).read_bytes()
        bundle = read_bundle(data)
        checked = check_bundle(bundle, _trusted(bundle, dict(options.hashes), options.rpc_url))
    except OSError as error:
        reason = error if error.filename is None else f"{error.filename} cannot be read: {error.strerror}"
        print(f"certindex check: {reason}", file=sys.stderr)
        return USAGE_ERROR
    except Failed as failure:
        print(f"FAIL {failure}")
        return 1
    print(report(checked))
    return 0 if checked.is_complete else INCOMPLETE


def report(checked: "Checked") -> str:
    """Returns PASS or INCOMPLETE, and below it what was established and what was not."""
    events = f"{checked.events} events in {checked.blocks} blocks, up to block {checked.as_of}"
    lines = [f"PASS {checked.did}: {events}"] if checked.is_complete else incomplete(checked)
    if checked.trusted:
        lines.append(f"  established: {_blocks(checked.trusted)} of the chain that you trust")
    if checked.untrusted:
        lines.append(
            f"  not established: that {_blocks(checked.untrusted)} of the real chain; the events are proven to be in "
            "blocks with the hashes that the bundle gives, not that these blocks are canonical. "
            "Give --block-hash or --rpc-url"
        )
    if checked.profile is None:
        lines.append("  not established: that the profile reads events correctly; no release contains it, so read it")
    else:
        lines.append(f"  established: the events are read by the profile {checked.profile} of this release")
    contracts = ", ".join(checked.contracts)
    lines += [
        f"  not established: {text.format(noun=checked.noun, as_of=checked.as_of, contracts=contracts)}"
        for text in NOT_ESTABLISHED
    ]
    lines += [f"  not used: the hash of block {number}, which the bundle does not hold" for number in checked.unused]
    return "\n".join(lines)


def incomplete(checked: "Checked") -> list[str]:
    """Returns INCOMPLETE, and below it a line for each block whose events are not proven: which, why and until when."""
    return [
        f"INCOMPLETE {checked.did}: {checked.unproven_events} of {checked.events} events are not proven yet, up to "
        f"block {checked.as_of}; nothing contradicts them",
        *(_unproven(number, list(events)) for number, events in groupby(checked.unproven, lambda e: e.block_number)),
    ]


def _unproven(block: int, events: Sequence["UnprovenEvent"]) -> str:
    from schema.bundle.unproven import explain

    numbers = [event.log_index for event in events]
    noun = "event" if len(numbers) == 1 else "events"
    reason = explain(events[0].cause, block, events[0].provable_at)
    return f"  not proven: {noun} {_ranges(numbers)} of block {block}: {reason}"


def _ranges(numbers: Sequence[int]) -> str:
    """Returns ascending numbers as text, of three or more in a row the first and the last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _trusted(bundle: "Bundle", hashes: Mapping[int, bytes], url: str | None) -> Mapping[int, bytes]:
    if url is None:
        return hashes
    from indexer.check.trusted import block_hashes  # uses the network, so only with --rpc-url

    return {**block_hashes(url, bundle.chain_id, sorted({block.number for block in bundle.blocks})), **hashes}


def _blocks(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_BLOCKS])) + (", ..." if len(numbers) > SHOWN_BLOCKS else "")
    return f"block {shown} is" if len(numbers) == 1 else f"the {len(numbers)} blocks {shown} are"


def _block_hash(text: str) -> tuple[int, bytes]:
    match = re.fullmatch(r"([0-9]{1,13})=0x([0-9a-fA-F]{64})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a block hash. Example: 35000000=0x{"ab" * 32}')
    return int(match[1]), bytes.fromhex(match[2])


def _node_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return text
    except ValueError:  # an invalid port or IPv6 address
        pass
    raise argparse.ArgumentTypeError(f'"{text}" is not an http:// or https:// URL. Example: http://127.0.0.1:8545')


if __name__ == "__main__":
    main()
