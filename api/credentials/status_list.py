"""Bitstring Status Lists: the tokens of a contract whose credentials are revoked.

The list and the index of a token follow from its id, so that nothing is stored. A bit is 1 unless the register has a
device with that token that is not burned: so it is 1 for a device whose mint a reorg removed.
"""

import gzip
from collections.abc import Iterable
from datetime import timedelta

from api.credentials.keys import base64url

SIZE = 131_072
"""Tokens of a list: the minimum of the standard, so that a request does not show whose status it reads."""

VALID_FOR = timedelta(hours=1)
TIME_TO_LIVE = timedelta(minutes=5)


def encode_list(live: Iterable[int]) -> str:
    """Returns the list in which the bits of live tokens, by their index, are 0 and the others 1."""
    bits = bytearray(b"\xff" * (SIZE // 8))
    for index in live:
        bits[index // 8] &= ~(0x80 >> index % 8)
    return "u" + base64url(gzip.compress(bytes(bits), mtime=0))
