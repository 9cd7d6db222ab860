"""`/devices/{did}/bundle.json`: the audit bundle of a device, which `certindex check` verifies offline.

`/vehicles/{did}/bundle.json` and `/synthetic-devices/{did}/bundle.json` are those of vehicles and synthetic devices.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import UNSET
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api.http.disconnects import unread_response, while_connected
from api.http.rates import RateLimited, Rates
from api.http.requests import RequestError, refuse_parameters
from api.http.responses import error_response
from api.reading.snapshot import open_snapshot, read_again
from api.settings import Settings
from schema.bundle.document import Bundle, subject_of, to_json
from schema.bundle.making import make_bundle
from schema.bundle.subjects import DEVICE, SUBJECTS, SubjectKind
from schema.did import EXAMPLE, TokenDid, parse_did
from schema.program.logs import log_event
from schema.tables.damage import DamagedData
from schema.tables.database import DatabaseError

log = logging.getLogger("certindex.api")

AT_A_TIME = 2
"""A bundle reads the whole history of a device. Other requests for bundles wait."""


class Bundles:
    """Makes bundles, few at a time."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._max_seconds = settings.max_seconds
        self._admission = asyncio.Semaphore(AT_A_TIME)

    async def read(self, did: str, kind: SubjectKind = DEVICE) -> Bundle:
        """Returns the bundle of a device, or of a subject of another kind, as it is now. Raises RequestError."""
        token = token_of(did, kind)
        try:
            async with asyncio.timeout(self._max_seconds), self._admission:
                bundle = await read_again(partial(self._make, token, kind))
        except TimeoutError:
            raise RequestError(503, f"The bundle took longer than {self._max_seconds:g} s. Try again later.") from None
        except (DBAPIError, DatabaseError):
            raise RequestError(503, "The database does not answer. Try again later.") from None
        except DamagedData as error:
            log_event(log, logging.ERROR, "a bundle cannot be made", " of {subject}: {error}", did, str(error))
            raise RequestError(500, f"The stored data of {did} is damaged: {error}") from None
        if bundle is None:
            raise RequestError(404, f"There is no {kind.noun} {did} in the index.")
        return bundle

    async def _make(self, token: TokenDid, kind: SubjectKind) -> Bundle | None:
        async with open_snapshot(self._engine) as snapshot:
            return await snapshot.read(make_bundle, *token, kind)


def token_of(did: str, kind: SubjectKind = DEVICE) -> TokenDid:
    """Returns the token that a DID names. Raises RequestError."""
    token = parse_did(did)
    if token is None or token.token_id >= 2**256 or token.chain_id >= 2**63:
        raise RequestError(400, f'"{did[:200]}" is not the DID of a {kind.noun}. Example: {EXAMPLE}')
    return token


def bundle_routes(bundles: Bundles, rates: Rates) -> list[Route]:
    """Returns the routes of the bundles of each kind of subjects."""
    return [Route(f"/{kind.path}/{{did}}/bundle.json", _handler(bundles, rates, kind)) for kind in SUBJECTS.values()]


def _handler(bundles: Bundles, rates: Rates, kind: SubjectKind) -> Callable[[Request], Awaitable[Response]]:

    async def answer(request: Request) -> Response:
        did = str(request.path_params["did"])
        try:
            token_of(did, kind)
            refuse_parameters(request)
            rates.client(request.scope).take_request()
            async with while_connected(request):
                return _response(request, await bundles.read(did, kind))
        except (RateLimited, RequestError) as error:
            return error_response(error)
        except ClientDisconnect:
            return unread_response()

    return answer


def _response(request: Request, bundle: Bundle) -> Response:
    kind, subject = subject_of(bundle)
    tag = f'"{bundle.manifest.hash}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Disposition": f'attachment; filename="{kind.noun.replace(" ", "-")}-{subject.token_id}.bundle.json"',
        "Bundle-Status": "COMPLETE" if bundle.unproven is UNSET else f"INCOMPLETE; unproven={len(bundle.unproven)}",
    }
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(to_json(bundle), media_type="application/json", headers=headers)
