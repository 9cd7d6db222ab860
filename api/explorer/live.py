"""Live pages: the subscriptions that send a message when a page is out of date.

With TRUSTED_DOCUMENTS they are trusted too: a page names its subscription by its hash, and sends its text beside it.
"""

from hashlib import sha256
from urllib.parse import urlencode

EVENTS = "subscription Events { lifecycleEvents { cursor } }"
"""Answers when an event is indexed, or taken back by a reorg."""

BLOCKS = "subscription Blocks { blockIndexed { number } }"
"""Answers when a block is indexed."""

SUBSCRIPTIONS = {sha256(text.encode()).hexdigest(): text for text in (EVENTS, BLOCKS)}


def stream_address(subscription: str) -> str:
    """Returns the address of a subscription's server-sent events."""
    id = sha256(subscription.encode()).hexdigest()
    return "/graphql/stream?" + urlencode({"documentId": id, "query": subscription})
