"""Style sheets, scripts and pictures. Each address contains the hash of its content, so browsers cache it forever."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER = Path(__file__).parent
PREFIX = "/explorer"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
POLICY = "default-src 'none'"
POLICIES = {"node.js": "default-src 'none'; connect-src http: https:"}
"""The Content-Security-Policy of a file: it binds the scripts that run as workers. None may connect anywhere, but for
the one that asks the node that a reader names."""
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    content: bytes
    media_type: str
    policy: str


class Assets:
    """The files of `static/`, and one style sheet of all parts: those of `styles/`, then those of the pages."""

    def __init__(self) -> None:
        self._by_address: dict[str, Asset] = {}
        self._addresses: dict[str, str] = {}
        for name, content in _contents():
            stem, _, suffix = name.rpartition(".")
            address = f"{stem}.{sha256(content).hexdigest()[:12]}.{suffix}"
            self._by_address[address] = Asset(content, TYPES[f".{suffix}"], POLICIES.get(name, POLICY))
            self._addresses[name] = f"{PREFIX}/{address}"

    def address(self, name: str) -> str:
        """Returns the address of a file. Raises KeyError."""
        return self._addresses[name]

    async def serve(self, request: Request) -> Response:
        """Answers a request for a file."""
        asset = self._by_address.get(request.path_params["file"])
        if asset is None:
            return PlainTextResponse("There is no such file.\n", 404, {"Cache-Control": "no-store"})
        headers = {**FOREVER, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": asset.policy}
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _contents() -> Iterator[tuple[str, bytes]]:
    parts = [*sorted((FOLDER / "styles").glob("*.css")), *sorted((FOLDER / "pages").glob("*/*.css"))]
    yield "explorer.css", b"\n".join(part.read_bytes() for part in parts)
    for path in sorted((FOLDER / "static").iterdir()):
        if path.suffix in TYPES:
            yield path.name, path.read_bytes()
