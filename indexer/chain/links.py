"""What ties blocks to each other and to their logs."""

from collections.abc import Sequence
from itertools import pairwise

from indexer.chain.batch import BlockLogs
from indexer.chain.chain import Chain, Header, RawLog, WrongAnswer
from indexer.errors import TryAgain
from schema.vocabulary import VerificationLevel


def check_links(chain: Chain, headers: Sequence[Header]) -> None:
    """Raises TryAgain where a block is not the child of the one before it, and distrusts who said so."""
    for parent, child in pairwise(headers):
        if child.number == parent.number + 1 and child.parent_hash != parent.hash:
            broken = TryAgain(f"Block {child.number} is no child of block {parent.number}: the node switched branches.")
            chain.distrust_header(parent, broken)
            raise broken


async def with_level(chain: Chain, header: Header, logs: list[RawLog]) -> BlockLogs:
    """Returns a block with its logs and how far the header confirms them.

    A header that contradicts them is asked of another provider. Raises WrongAnswer where that one does too.
    """
    try:
        confirmed = chain.check_against_header(header, logs)
    except WrongAnswer as wrong:
        header = await chain.second_header(header, wrong)
        confirmed = chain.check_against_header(header, logs)
    return BlockLogs(header, logs, VerificationLevel.BLOOM if confirmed else VerificationLevel.RPC)
