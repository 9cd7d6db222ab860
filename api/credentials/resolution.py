"""Resolution of `did:erc721`: the DID document of a device, from the indexed state."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.credentials.keys import SigningKey
from api.credentials.signing import Json

NOBODY = f"0x{0:040x}"
DID_V1 = "https://www.w3.org/ns/did/v1"
RECOVERY = "https://w3id.org/security/suites/secp256k1recovery-2020/v2"

ERRORS = {
    400: "invalidDid",
    404: "notFound",
    406: "representationNotSupported",
    410: "invalidOptions",
    422: "invalidOptions",
    501: "methodNotSupported",
}
"""The errors of DID Resolution, by HTTP status. Others are internalError."""


def document_of(did: str, device: Mapping[str, Any], base_url: str) -> Json:
    """Returns the document of a DID as it was requested. That of a burned device has its id alone."""
    document: Json = {"@context": [DID_V1, RECOVERY], "id": did}
    if is_burned(device):
        return document
    chain = f"eip155:{device['chainId']}"
    if device["owner"]:
        document["controller"] = f"did:pkh:{chain}:{device['owner']}"
    if device["address"]:
        key = f"{did}#address"
        document["verificationMethod"] = [
            {
                "id": key,
                "type": "EcdsaSecp256k1RecoveryMethod2020",
                "controller": did,
                "blockchainAccountId": f"{chain}:{device['address']}",
            }
        ]
        document |= {"authentication": [key], "assertionMethod": [key]}
    document["service"] = [
        {"id": f"{did}#{name}", "type": kind, "serviceEndpoint": f"{base_url}{path.format(device['tokenDID'])}"}
        for name, kind, path in SERVICES
    ]
    return document


SERVICES = (
    ("certificate", "DeviceCertificate", "/device/{}"),
    ("credential", "VerifiableCredentialService", "/device/{}/credential"),
    ("bundle", "AuditBundle", "/devices/{}/bundle.json"),
)


def metadata_of(did: str, device: Mapping[str, Any]) -> Json:
    """Returns the metadata of a DID document. Its version is the block of the device's last event."""
    last = device["history"]["nodes"][0]["block"]
    metadata = {
        "created": device["mintedAt"],
        "updated": last["timestamp"],
        "versionId": last["hash"],
        "deactivated": is_burned(device),
        "canonicalId": None if did == device["tokenDID"] else device["tokenDID"],
    }
    return {name: value for name, value in metadata.items() if value is not None}


def is_burned(device: Mapping[str, Any]) -> bool:
    """Returns whether a device is burned, by an event or a transfer to the zero address, and not minted again since."""
    last = device["transfers"]["nodes"]
    by_transfer = bool(last) and last[0]["recipient"] == NOBODY
    return device["owner"] is None and (by_transfer or bool(device["burned"]["totalCount"]))


def issuer_document(issuer: str, keys: Sequence[SigningKey]) -> Json:
    """Returns the DID document of who signs credentials: each key as a JWK and as a Multikey."""
    methods = [method for key in keys for method in _methods(issuer, key)]
    return {
        "@context": [DID_V1, "https://w3id.org/security/multikey/v1", "https://w3id.org/security/jwk/v1"],
        "id": issuer,
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
    }


def _methods(issuer: str, key: SigningKey) -> list[Json]:
    return [
        {"id": key.jwk_id, "type": "JsonWebKey", "controller": issuer, "publicKeyJwk": {**key.jwk, "alg": "EdDSA"}},
        {"id": key.multikey_id, "type": "Multikey", "controller": issuer, "publicKeyMultibase": key.multibase},
    ]
