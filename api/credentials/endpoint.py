"""The addresses of DID documents, credentials, status lists and keys."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.credentials.credential import CONTEXT_PATH, CREDENTIALS, context_of, device_credential, issuer_of, valid_period
from api.credentials.keys import SigningKey
from api.credentials.resolution import ERRORS, document_of, is_burned, issuer_document, metadata_of
from api.credentials.signing import Json, as_jwt, with_proof
from api.credentials.status_list import SIZE, TIME_TO_LIVE, VALID_FOR, encode_list
from api.graphql.errors import BadUserInput, Reason, Refusal
from api.graphql.request import GraphQLRequest
from api.http.as_of import as_of_variable
from api.http.bundle import Bundles, token_of
from api.http.disconnects import unread_response, while_connected
from api.http.graphql_client import GraphQLClient
from api.http.metrics import ROUTE
from api.http.requests import HTML, JSON, RequestError, refuse_parameters, response_type
from api.http.responses import NOT_STORED, REVALIDATE, SERVER_STATUSES, VARY, as_request_error, error_response
from api.http.routing import routes_below
from api.queries.live_tokens import live_tokens
from api.reading.revisions import Revisions, revisions_of
from api.reading.snapshot import Snapshot
from schema.did import EXAMPLE, TokenDid, parse_did

log = logging.getLogger("certindex.api")

FOLDER = Path(__file__).parent / "documents"
IDENTITY = (FOLDER / "identity.graphql").read_text("utf-8")
CERTIFICATE = (FOLDER / "certificate.graphql").read_text("utf-8")

VC, VC_JWT, JSON_LD = "application/vc", "application/vc+jwt", "application/ld+json"
DID, DID_RESOLUTION = "application/did", "application/did-resolution"

NO_KEY = "This service signs no credentials: its operator has set no SIGNING_KEY."
VERSIONS = ("versionId", "versionTime")
MAX_LISTS = 64
"""Status lists that are kept: at most 22 kB each."""

TRIES = 5
"""How often a device and its bundle are read until both are of one block."""

Handler = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[RequestError], Response]
ReadSnapshot = Callable[[Callable[[Snapshot], Any]], Awaitable[Any]]
"""Reads from a snapshot of its own. Raises Refusal."""


class Credentials:
    """Answers requests. `keys` are those of SIGNING_KEY, the first of which signs; none if it is not set."""

    def __init__(
        self,
        client: GraphQLClient,
        bundles: Bundles,
        read: ReadSnapshot,
        keys: Sequence[SigningKey],
        base_url: str | None,
    ) -> None:
        self._client = client
        self._bundles = bundles
        self._read = read
        self._keys = keys
        self._base_url = base_url
        self._lists: dict[TokenDid, tuple[Revisions, str]] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            *routes_below("/1.0/identifiers", "did:path", self._guarded("did", self._resolve, resolution_refused)),
            Route("/device/{did}/credential", self._signed(self._credential), methods=["GET"]),
            Route("/credentials/status/{chain}/{contract}/{list}", self._signed(self._status_list), methods=["GET"]),
            Route(CONTEXT_PATH, self._signed(self._context), methods=["GET"]),
            Route("/.well-known/did.json", self._signed(self._issuer), methods=["GET"]),
            Route("/.well-known/jwks.json", self._signed(self._key_set), methods=["GET"]),
        ]

    def _guarded(self, route: str, handler: Handler, refuse: Refuse) -> Handler:
        """Returns a handler that counts requests, in the metrics under a name, and answers a refusal by `refuse`."""

        async def respond(request: Request) -> Response:
            request.scope[ROUTE] = route
            try:
                self._client.count(request.scope)
                async with while_connected(request):
                    return await handler(request)
            except (RequestError, Refusal) as error:
                return refuse(as_request_error(error))
            except ClientDisconnect:
                return unread_response()

        return respond

    def _signed(self, handler: Handler) -> Handler:
        """Returns a handler that is there only if there is a key."""

        async def respond(request: Request) -> Response:
            if not self._keys:
                raise RequestError(404, NO_KEY)
            refuse_parameters(request)
            return await handler(request)

        return self._guarded("credential", respond, error_response)

    @property
    def _address(self) -> str:
        assert self._base_url is not None  # a key needs it
        return self._base_url

    async def _device(self, request: Request, document: str, did: str, as_of: Mapping[str, Any] | None = None) -> Json:
        """Returns the device of a document. Raises RequestError."""
        query = GraphQLRequest(document, {"did": did, "asOf": as_of})
        response = await self._client.execute(query, self._client.charge(request.scope))
        for error in response.get("errors", ()):
            raise _failure(error)
        device: Json | None = response["data"]["device"]
        if device is None:
            then = " at that point" if as_of else ""
            raise RequestError(
                404, f"There is no device {did} in this register{then}. Its network may not be indexed here."
            )
        return device

    # DID documents

    async def _resolve(self, request: Request) -> Response:
        media_type = _media_type(request, (DID_RESOLUTION, DID, JSON_LD, JSON))
        did = str(request.path_params.get("did", ""))
        if not did:
            raise RequestError(400, f"Name the DID of a device: /1.0/identifiers/{EXAMPLE}")
        if did.startswith("did:") and not did.startswith("did:erc721:"):
            raise RequestError(501, f"{did[:200]} has another method: this service resolves did:erc721.")
        token_of(did)
        device = await self._device(request, IDENTITY, did, _version(request))
        base_url = self._base_url or str(request.base_url).rstrip("/")
        document, metadata = document_of(did, device, base_url), metadata_of(did, device)
        status = 410 if metadata["deactivated"] else 200
        result = {
            "didDocument": document,
            "didResolutionMetadata": {"contentType": DID},
            "didDocumentMetadata": metadata,
        }
        return _json_response(document if media_type == DID else result, media_type, status)

    # Credentials

    async def _credential(self, request: Request) -> Response:
        media_type = _media_type(request, (VC, VC_JWT, JSON_LD, JSON))
        token = token_of(str(request.path_params["did"]))
        for _ in range(TRIES):
            bundle = await self._bundles.read(token.checksummed)
            device = await self._device(request, CERTIFICATE, token.checksummed)
            if is_burned(device):
                raise RequestError(410, f"{token.checksummed} was burned: a burned device gets no credential.")
            if device["asOf"]["hash"] == bundle.as_of.hash:
                return self._sign(device_credential(device, token, bundle, self._address), media_type)
        raise RequestError(
            503, "New blocks arrive while the credential is made. Try again later.", {"Retry-After": "1"}
        )

    async def _status_list(self, request: Request) -> Response:
        media_type = _media_type(request, (VC, VC_JWT, JSON_LD, JSON))
        keys = request.path_params
        token = parse_did(f"did:erc721:{keys['chain']}:{keys['contract']}:{keys['list']}")
        if token is None or token.token_id >= 2**256 // SIZE or token.chain_id >= 2**63:
            raise RequestError(404, f'There is no status list at "{request.url.path[:200]}".')
        first = token.token_id * SIZE
        encoded = await self._read(partial(self._encoded_list, token, first))
        if encoded is None:
            raise RequestError(404, f"Chain {token.chain_id} is not indexed here.")
        address = f"{self._address}{request.url.path}"
        credential = {
            "@context": [CREDENTIALS],
            "id": address,
            "type": ["VerifiableCredential", "BitstringStatusListCredential"],
            "issuer": issuer_of(self._address),
            **valid_period(VALID_FOR),
            "credentialSubject": {
                "id": f"{address}#list",
                "type": "BitstringStatusList",
                "statusPurpose": "revocation",
                "ttl": int(TIME_TO_LIVE.total_seconds() * 1000),
                "encodedList": encoded,
            },
        }
        return self._sign(credential, media_type)

    def _encoded_list(self, list: TokenDid, first: int, snapshot: Snapshot) -> str | None:
        """Returns the bits of a status list, from the last request if nothing changed; None for a foreign chain."""
        if list.chain_id not in snapshot.chains:
            return None
        revisions = revisions_of(snapshot.chains.values())
        kept = self._lists.get(list)
        if kept is not None and kept[0] == revisions:
            return kept[1]
        tokens = snapshot.read_now(live_tokens, list.chain_id, list.contract, first, first + SIZE)
        encoded = encode_list(id - first for id in tokens)
        if len(self._lists) >= MAX_LISTS:
            self._lists.clear()
        self._lists[list] = (revisions, encoded)
        return encoded

    def _sign(self, credential: Json, media_type: str) -> Response:
        key = self._keys[0]
        if media_type == VC_JWT:
            return Response(as_jwt(credential, key), headers={"Content-Type": VC_JWT, **NOT_STORED, **VARY})
        response = _json_response(with_proof(credential, key), media_type)
        response.headers.update(NOT_STORED)
        return response

    async def _context(self, request: Request) -> Response:
        return _json_response(context_of(self._address), JSON_LD)

    # Keys

    async def _issuer(self, request: Request) -> Response:
        return _json_response(issuer_document(issuer_of(self._address), self._keys), JSON)

    async def _key_set(self, request: Request) -> Response:
        keys = [{**key.jwk, "kid": key.jwk_id, "alg": "EdDSA", "use": "sig"} for key in self._keys]
        return _json_response({"keys": keys}, JSON)


def _media_type(request: Request, offers: tuple[str, ...]) -> str:
    """Returns the offer that the client prefers; a browser, which names HTML, gets JSON. Raises RequestError."""
    return JSON if HTML in request.headers.get("accept", "") else response_type(request, offers)


def _version(request: Request) -> Mapping[str, Any] | None:
    """Returns the `asOf` of versionId or versionTime. Raises RequestError."""
    options = [(name, text) for name, text in request.query_params.multi_items() if text]
    if unknown := {name for name, _ in options} - set(VERSIONS):
        raise RequestError(422, f'There is no option "{min(unknown)[:80]}" here. Options: {", ".join(VERSIONS)}.')
    if len(options) > 1:
        raise RequestError(422, f"Several versions are given: send one of {' and '.join(VERSIONS)}, once.")
    return next((_point(name, text) for name, text in options), None)


def _point(name: str, text: str) -> Mapping[str, Any] | None:
    with suppress(BadUserInput):
        point = as_of_variable(text, name)
        if (name == "versionTime") == (point is None or "timestamp" in point):
            return point
    example = "a time, such as 2025-06-01T12:00:00Z" if name == "versionTime" else "a block's hash or number"
    raise RequestError(422, f'{name} is "{text[:100]}": send {example}.')


def _failure(error: Json) -> RequestError:
    """Returns the refusal for an error of GraphQL."""
    extensions = error["extensions"]
    if extensions.get("reason") == Reason.ORPHANED.value:
        return RequestError(410, error["message"])
    headers = {"Retry-After": str(extensions["retryAfter"])} if "retryAfter" in extensions else {}
    return RequestError(SERVER_STATUSES.get(extensions["code"], 422), error["message"], headers)


def resolution_refused(error: RequestError) -> Response:
    """Returns a failed resolution."""
    kind = ERRORS.get(error.status, "internalError")
    result = {
        "didDocument": None,
        "didResolutionMetadata": {"error": kind, "message": error.message},
        "didDocumentMetadata": {},
    }
    response = _json_response(result, DID_RESOLUTION, error.status)
    response.headers.update({**NOT_STORED, **error.headers})
    return response


def _json_response(content: Any, media_type: str, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, indent=2).encode()
    return Response(body, status, {"Content-Type": media_type, **REVALIDATE, **VARY})
