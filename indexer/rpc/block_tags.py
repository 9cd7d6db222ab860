"""Block tags, which not every node knows: Besu and Erigon without a consensus client have no finalized block."""

import re
from http import HTTPStatus
from typing import Any

from indexer.rpc.errors import RpcError
from indexer.rpc.refusals import BackOff, HistoryGone, NoSuchTag, WaitForHead

BLOCK_TAGS = ("safe", "finalized")
INVALID_PARAMS, RESOURCE_NOT_FOUND, UNKNOWN_BLOCK = -32602, -32001, -39001
TAG_CODES = (INVALID_PARAMS, RESOURCE_NOT_FOUND, UNKNOWN_BLOCK)
TAG_TEXT = re.compile(
    r"\btag\b|\bsafe\b|\bfinali[sz]ed\b|hex string|invalid (argument|params|block|syntax|number)|(un|not )supported|"
    r"block (was )?not found|unknown block|cannot wrap"
)
"""Texts of nodes that do not know a tag, or have no block for it."""


def tag_of(method: str, params: list[Any]) -> str | None:
    """Returns the tag that a request for a block names, if it is one that a node may not know."""
    tag = params[0] if method == "eth_getBlockByNumber" else None
    return tag if tag in BLOCK_TAGS else None


def is_about_tag(error: RpcError) -> bool:
    """Returns whether the refusal may be about the tag: that of a busy or broken node is not."""
    broken = error.status is not None and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error.refusal, BackOff) and (error.code is not None or not broken)


def is_tag_unknown(error: RpcError) -> bool:
    """Returns whether the text of an error means that the node does not know the tag, or has no block for it."""
    if isinstance(error.refusal, NoSuchTag):
        return True
    named = error.code in TAG_CODES or TAG_TEXT.search(error.text) is not None
    return is_about_tag(error) and (named or isinstance(error.refusal, WaitForHead | HistoryGone))
