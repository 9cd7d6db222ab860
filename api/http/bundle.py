"""`/devices/{did}/bundle.json`: the audit bundle of a device, which `certindex check` verifies offline."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec import UNSET
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from api.http.disconnects import unread_response, while_connected
from api.http.rates import RateLimited, Rates
from api.reading.snapshot import open_snapshot, read_again
from api.settings import Settings
from schema.bundle.document import Bundle, to_json
from schema.bundle.making import make_bundle
from schema.did import EXAMPLE, TokenDid, parse_did
from schema.program.logs import log_event
from schema.tables.damage import DamagedData
from schema.tables.database import DatabaseError

log = logging.getLogger("certindex.api")

AT_A_TIME = 2
"""A bundle reads the whole history of a device. Other requests for bundles wait."""


def bundle_route(engine: Engine, settings: Settings, rates: Rates) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of requests for bundles."""
    admission = asyncio.Semaphore(AT_A_TIME)

    async def answer(request: Request) -> Response:
        did = str(request.path_params["did"])
        token = parse_did(did)
        if token is None or token.token_id >= 2**256 or token.chain_id >= 2**63:
            return _refusal(400, f'"{did[:200]}" is not the DID of a device. Example: {EXAMPLE}')
        try:
            rates.client(request.scope).take_request()
        except RateLimited as error:
            return _refusal(429, str(error), {"Retry-After": str(error.retry_after)})
        try:
            async with while_connected(request), asyncio.timeout(settings.max_seconds), admission:
                bundle = await read_again(partial(_read_bundle, engine, token))
        except ClientDisconnect:
            return unread_response()
        except TimeoutError:
            return _refusal(503, f"The bundle took longer than {settings.max_seconds:g} s. Try again later.")
        except (DBAPIError, DatabaseError):
            return _refusal(503, "The database does not answer. Try again later.")
        except DamagedData as error:
            log_event(log, logging.ERROR, "a bundle cannot be made", " of {device}: {error}", did, str(error))
            return _refusal(500, f"The stored data of {did} is damaged: {error}")
        if bundle is None:
            return _refusal(404, f"There is no device {did} in the index.")
        return _response(request, bundle)

    return answer


async def _read_bundle(engine: Engine, token: TokenDid) -> Bundle | None:
    async with open_snapshot(engine) as snapshot:
        return await snapshot.read(make_bundle, *token)


def _response(request: Request, bundle: Bundle) -> Response:
    tag = f'"{bundle.manifest.hash}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Disposition": f'attachment; filename="device-{bundle.device.token_id}.bundle.json"',
        "Bundle-Status": "COMPLETE" if bundle.unproven is UNSET else f"INCOMPLETE; unproven={len(bundle.unproven)}",
    }
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(to_json(bundle), media_type="application/json", headers=headers)


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, {"Cache-Control": "no-store", **(headers or {})})
