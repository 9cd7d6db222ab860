"""A verifier of credentials, which finds keys and status lists at the address where a test serves the site."""

from typing import Any
from urllib.parse import quote

from openvc import VerificationResult, verify_credential
from openvc.did.base import DidDocument, parse_did_document

from tests.support.api.server import CLIENT

Json = dict[str, Any]

BASE_URL = "https://devices.example.org"
ISSUER = "did:web:devices.example.org"
VC, VC_JWT = "application/vc", "application/vc+jwt"


class Verifier:
    """Verifies credentials of BASE_URL, which is served at an address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def supports(self, did: str) -> bool:
        return did == ISSUER

    def resolve(self, did: str) -> DidDocument:
        return parse_did_document(CLIENT.get(f"{self._address}/.well-known/did.json").json())

    def credential(self, did: str) -> Json:
        """Returns the credential of a device."""
        response = CLIENT.get(f"{self._address}/device/{quote(did, safe=':')}/credential", headers={"accept": VC})
        assert response.status_code == 200, response.text
        credential: Json = response.json()
        return credential

    def status_list(self, url: str) -> Json:
        """Returns a status list, whose credential must be valid."""
        response = CLIENT.get(url.replace(BASE_URL, self._address), headers={"accept": VC})
        credential: Json = verify_credential(response.json(), resolver=self).credential
        return credential

    def verify(self, credential: Json) -> VerificationResult:
        """Verifies proof, period and status. Raises OpenvcError."""
        return verify_credential(credential, resolver=self, resolve_status_list=self.status_list)
