"""The minimum block of a request, for a program that has just sent a transaction."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from api.graphql.errors import BadUserInput, Reason
from api.reading.snapshot import Snapshot

MAX_BLOCKS_AHEAD = 64
"""The blocks beyond the newest known block that a request may wait for. A higher block is refused as a mistake."""

HEADER = "X-Min-Block"
FORM = re.compile("(?:([0-9]{1,19}):)?([0-9]{1,19})", re.ASCII)


class MinBlock(NamedTuple):
    """A block number, on the only indexed network if `chain_id` is None. `name`: the argument or header."""

    number: int
    chain_id: int | None
    name: str


def parse_min_block(text: str) -> MinBlock:
    """Returns the content of the header. Raises BadUserInput."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise BadUserInput(f'{HEADER} is "{text[:80]}": send a block number, or chain id and number. Example: 137:42')
    chain_id, number = match.groups()
    return MinBlock(int(number), None if chain_id is None else int(chain_id), HEADER)


def awaited_of(snapshot: Snapshot, requests: Sequence[MinBlock]) -> tuple[int, int] | None:
    """Returns the chain id and the number of the first block that is not indexed yet, None if all are.

    Raises BadUserInput for a block that is too far ahead, negative, or of a network that is not indexed. A replica of
    the database does not know how far ahead a block is.
    """
    awaited = [(_checked(snapshot, request), request.number) for request in requests]
    return next(((chain.chain_id, number) for chain, number in awaited if chain.indexed_number < number), None)


def _checked(snapshot: Snapshot, request: MinBlock) -> Row[Any]:
    """Returns the chain of a block."""
    chain = _chain(snapshot.chains, request)
    newest = max(chain.indexed_number, -1 if chain.head_number is None else chain.head_number)
    if request.number < 0:
        raise BadUserInput(f"{request.name} is {request.number}: blocks are numbered from 0.")
    is_far_ahead = chain.head_number is not None and request.number > newest + MAX_BLOCKS_AHEAD
    if is_far_ahead and snapshot.replica is None:
        raise BadUserInput(
            f"{request.name} is {request.number}, and block {newest} is the newest of chain {chain.chain_id}: "
            f"a request waits for blocks up to {newest + MAX_BLOCKS_AHEAD}."
        )
    return chain


def _chain(chains: Mapping[int, Row[Any]], request: MinBlock) -> Row[Any]:
    indexed = ", ".join(map(str, chains)) or "none"
    if request.chain_id is None:
        if len(chains) != 1:
            raise BadUserInput(
                f"{request.name} is {request.number}, and {len(chains)} networks are indexed: name the chain "
                f"({indexed}).",
                Reason.AMBIGUOUS,
            )
        return next(iter(chains.values()))
    if request.chain_id not in chains:
        raise BadUserInput(f"{request.name} is of chain {request.chain_id}, which is not indexed here ({indexed} is).")
    return chains[request.chain_id]
