"""The keys that sign credentials: Ed25519, read from PEM, published as JWK and as Multikey."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from schema.program.settings import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ED25519 = b"\xed\x01"
"""What precedes an Ed25519 public key in a Multikey."""

BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
EXTRA = 'credentials need packages that are not installed here: pip install "certindex[credentials]"'
WAY_OUT = "Make one: certindex-api keys new signing-key.pem"


@dataclass(frozen=True)
class SigningKey:
    """A private key. `issuer` is the DID of who signs with it."""

    private: "Ed25519PrivateKey"
    issuer: str

    @cached_property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def jwk(self) -> Mapping[str, str]:
        return {"crv": "Ed25519", "kty": "OKP", "x": base64url(self.public)}

    @property
    def multibase(self) -> str:
        return base58(ED25519 + self.public)

    @property
    def jwk_id(self) -> str:
        """The id of the verification method that is a JWK; its fragment is the thumbprint (RFC 7638)."""
        thumbprint = sha256(json.dumps(self.jwk, separators=(",", ":")).encode()).digest()
        return f"{self.issuer}#{base64url(thumbprint)}"

    @property
    def multikey_id(self) -> str:
        """The id of the verification method that is a Multikey."""
        return f"{self.issuer}#{self.multibase}"

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def load_keys(setting: str, issuer: str) -> Sequence[SigningKey]:
    """Returns the keys of SIGNING_KEY, a file or its text. Raises SettingsError."""
    shown = "PEM" if "-----BEGIN" in setting else f'"{setting}"'
    try:
        text = setting if "-----BEGIN" in setting else Path(setting).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"SIGNING_KEY is {shown}: it cannot be read: {reason}. {WAY_OUT}") from None
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError:
        raise SettingsError(f"SIGNING_KEY is {shown}: {EXTRA}") from None
    keys = []
    for block in [part for part in text.split(END) if part.strip()]:
        try:
            key = load_pem_private_key(f"{block.strip()}\n{END}\n".encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SettingsError(f"SIGNING_KEY is {shown}: it is no private key in PEM (PKCS #8). {WAY_OUT}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsError(f"SIGNING_KEY is {shown}: a key in it is not an Ed25519 key. {WAY_OUT}")
        keys.append(SigningKey(key, issuer))
    if not keys:
        raise SettingsError(f"SIGNING_KEY is {shown}: it is empty. {WAY_OUT}")
    return keys


def new_key() -> str:
    """Returns a new private key in PEM. Raises SettingsError."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError:
        raise SettingsError(EXTRA) from None
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def base58(data: bytes) -> str:
    """Returns bytes as multibase base58btc."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "z" + BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + text
