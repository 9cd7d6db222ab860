"""Signatures of Standard Webhooks 1.0: v1 (HMAC-SHA256) and v1a (Ed25519)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from api.delivery.extras import extra

SYMMETRIC, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
"""Prefixes of a shared secret, and of a private and a public Ed25519 key."""

SECRET_BYTES = range(24, 65)
KEY_BYTES = 32
ED25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret of a subscription. `public` is the text of its public key, None for a shared secret."""

    version: str
    sign: Callable[[bytes], bytes]
    public: str | None = None

    def signature(self, content: bytes) -> str:
        """Returns one entry of the header `webhook-signature`."""
        return f"{self.version},{base64.b64encode(self.sign(content)).decode()}"


def signature_header(keys: Sequence[SigningKey], id: str, timestamp: int, body: bytes) -> str:
    """Returns the header `webhook-signature`: a signature of each key, separated by spaces."""
    content = b"%b.%d.%b" % (id.encode(), timestamp, body)
    return " ".join(key.signature(content) for key in keys)


def parse_key(text: str) -> SigningKey:
    """Returns the key of a secret. Raises ValueError, whose message has no part of the secret; SettingsError."""
    if text.startswith(SYMMETRIC):
        secret = _decoded(text.removeprefix(SYMMETRIC))
        if len(secret) not in SECRET_BYTES:
            raise ValueError(f"{len(secret)} bytes after {SYMMETRIC}: 24 to 64 are allowed")
        return SigningKey("v1", lambda content: hmac.digest(secret, content, sha256))
    if text.startswith(PRIVATE):
        return _ed25519(_decoded(text.removeprefix(PRIVATE)))
    raise ValueError(
        f"neither {SYMMETRIC} (a shared secret) nor {PRIVATE} (an Ed25519 private key), with base64 behind it"
    )


def new_secret() -> str:
    """Returns a new shared secret."""
    return SYMMETRIC + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def new_private_key() -> str:
    """Returns a new Ed25519 private key."""
    return PRIVATE + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _ed25519(seed: bytes) -> SigningKey:
    if len(seed) not in (KEY_BYTES, 2 * KEY_BYTES):  # libsodium's form has the public key behind the seed
        raise ValueError(f"{len(seed)} bytes after {PRIVATE}: {KEY_BYTES} are needed, the seed of an Ed25519 key")
    library = extra(ED25519, "webhooks", "A signature by Ed25519")
    key = library.Ed25519PrivateKey.from_private_bytes(seed[:KEY_BYTES])
    public = key.public_key().public_bytes_raw()
    if seed[KEY_BYTES:] not in (b"", public):
        raise ValueError("the public key behind the seed is that of another key")
    return SigningKey("v1a", key.sign, PUBLIC + base64.b64encode(public).decode())


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
