"""The texts that shipped profiles have had: whether a stored one is an earlier text, or a user's own profile."""

from collections.abc import Mapping
from hashlib import sha256

TEXTS: Mapping[str, tuple[str, ...]] = {
    "device-certificate": (
        "630d94a5246e1b6e",
        "2c58c4f413c05e3a",
    ),
    "dimo": (
        "83bfcdf38b7adce6",
        "1809135eff18c71f",
        "fbce55e90b0c6f13",
        "f6ce72ee3fb5947d",
        "d2eed538710f38d8",
    ),
    "ioid": (
        "403458c1d750f278",
        "6b97646e732ccffe",
    ),
}
"""By the name of a profile, the digests of its texts, that of the present one last."""


def digest_of(text: str) -> str:
    """Returns the digest of a profile's text: the first 16 hex digits of its SHA-256."""
    return sha256(text.encode()).hexdigest()[:16]


def differs_from_release(name: str, text: str) -> bool:
    """Returns whether this release has another text of a profile that an earlier one had this text of.

    A text that none had is of a user's own profile, whatever its name.
    """
    return digest_of(text) in TEXTS.get(name, ())[:-1]
