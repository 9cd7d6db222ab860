"""Secures a credential, as a JWT or with a Data Integrity proof."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from api.credentials.keys import SigningKey, base58, base64url

Json = dict[str, Any]


def as_jwt(credential: Mapping[str, Any], key: SigningKey) -> str:
    """Returns a credential as a JWT, by "Securing Verifiable Credentials using JOSE and COSE"."""
    header = {"alg": "EdDSA", "typ": "vc+jwt", "cty": "vc", "kid": key.jwk_id}
    claims = {
        **credential,
        "iss": credential["issuer"],
        "sub": credential["credentialSubject"]["id"],
        "iat": _seconds(credential["validFrom"]),
        "exp": _seconds(credential["validUntil"]),
    }
    signed = ".".join(base64url(json.dumps(part, ensure_ascii=False).encode()) for part in (header, claims))
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def with_proof(credential: Mapping[str, Any], key: SigningKey) -> Json:
    """Returns a credential with a Data Integrity proof of the suite eddsa-jcs-2022."""
    import rfc8785

    options = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "created": credential["validFrom"],
        "verificationMethod": key.multikey_id,
        "proofPurpose": "assertionMethod",
    }
    configuration = {"@context": credential["@context"], **options}
    hashed = b"".join(sha256(rfc8785.dumps(part)).digest() for part in (configuration, dict(credential)))
    proof = {"@context": credential["@context"], **options, "proofValue": base58(key.sign(hashed))}
    return {**credential, "proof": proof}


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
