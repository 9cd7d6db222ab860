"""The certificate of a device as a Verifiable Credential (data model 2.0), before it is signed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from api.credentials.signing import Json
from api.credentials.status_list import SIZE
from schema.bundle.document import Bundle
from schema.did import TokenDid
from schema.times import utc_text

CREDENTIALS = "https://www.w3.org/ns/credentials/v2"

CONTEXT_PATH = "/credentials/context.json"

VALID_FOR = timedelta(days=1)
"""A certificate changes: after a day its holder gets a new one."""


def context_of(base_url: str) -> Json:
    """Returns the JSON-LD context of our terms: the fields of `Device` in the service's GraphQL schema."""
    return {"@context": {"@version": 1.1, "@vocab": f"{base_url}/schema.graphql#"}}


def valid_period(length: timedelta) -> Json:
    """Returns the period of a credential that is issued now."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {"validFrom": utc_text(now), "validUntil": utc_text(now + length)}


def issuer_of(base_url: str) -> str:
    """Returns the DID of who signs at an address."""
    return f"did:web:{quote(base_url.partition('://')[2], safe='')}"


def status_address(base_url: str, token: TokenDid) -> str:
    """Returns the address of the status list of a device."""
    return f"{base_url}/credentials/status/{token.chain_id}/0x{token.contract.hex()}/{token.token_id // SIZE}"


def device_credential(device: Mapping[str, Any], token: TokenDid, bundle: Bundle, base_url: str) -> Json:
    """Returns the credential of a device."""
    did = device["tokenDID"]
    subject = {name: value for name, value in device.items() if name not in ("tokenDID", "burned", "transfers")}
    status = status_address(base_url, token)
    index = token.token_id % SIZE
    return {
        "@context": [CREDENTIALS, f"{base_url}{CONTEXT_PATH}"],
        "type": ["VerifiableCredential", "DeviceCertificate"],
        "issuer": issuer_of(base_url),
        **valid_period(VALID_FOR),
        "credentialSubject": {"id": did, "type": "Device", **_without_nulls(subject)},
        "credentialStatus": {
            "id": f"{status}#{index}",
            "type": "BitstringStatusListEntry",
            "statusPurpose": "revocation",
            "statusListIndex": str(index),
            "statusListCredential": status,
        },
        "evidence": [
            {
                "id": f"{base_url}/devices/{did}/bundle.json",
                "type": "AuditBundle",
                "hash": bundle.manifest.hash,
                "block": {"number": str(bundle.as_of.number), "hash": bundle.as_of.hash},
                "complete": bundle.unproven is UNSET,
            }
        ],
    }


def _without_nulls(value: Any) -> Any:
    """Returns JSON without the members that are null: in JSON-LD, what is not known is absent."""
    match value:
        case dict():
            return {name: _without_nulls(item) for name, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
    return value
