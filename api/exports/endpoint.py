"""`/export/{table}.{format}`: a whole list as one file."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from api.exports.download import Chunk, Download, Downloads, Source
from api.exports.formats import FORMATS, File
from api.exports.parameters import AFTER, address_at, parse_parameters
from api.exports.parquet import ParquetMissing
from api.exports.points import Point, points_of
from api.exports.refusals import refusal_of
from api.exports.table import NAMES, START, Table
from api.exports.table_schema import table_schema
from api.graphql.errors import BadUserInput, Refusal
from api.graphql.paging.connections import RowList
from api.http.disconnects import Endpoint, while_connected
from api.http.rates import Rates
from api.http.requests import RequestError
from api.reading.snapshot import Snapshot

SCHEMA = "schema.json"
"""Stands for a format: the description of a table's columns."""


class ExportEndpoint(Endpoint):
    """An ASGI application that answers with files."""

    def __init__(self, tables: Mapping[str, Table], downloads: Downloads, rates: Rates) -> None:
        self._tables = tables
        self._downloads = downloads
        self._rates = rates

    async def respond(self, request: Request) -> ASGIApp:
        try:
            if request.method not in ("GET", "HEAD"):
                raise RequestError(405, f"{request.method} is not answered: send GET.", {"Allow": "GET, HEAD"})
            table, format = self._named(str(request.path_params.get("file", "")))
            client = self._rates.client(request.scope)
            client.take_request()
            if format == SCHEMA:
                return JSONResponse(table_schema(table), headers={"Cache-Control": "no-cache"})
            return await self._download(request, table, format)
        except (RequestError, Refusal, ParquetMissing) as error:
            return refusal_of(error)

    def _named(self, file: str) -> tuple[Table, str]:
        """Returns the table and the format of a file's name. Raises RequestError."""
        name, _, format = file.partition(".")
        if name not in self._tables:
            missing = f'There is no table "{name[:80]}" to export.' if name else "Name a table: /export/devices.csv."
            raise RequestError(404, f"{missing} Tables: {', '.join(NAMES)}.")
        if format not in (*FORMATS, SCHEMA):
            missing = f'There is no format "{format[:80]}".' if format else f"Name a format: /export/{name}.csv."
            raise RequestError(404, f"{missing} Formats: {', '.join((*FORMATS, SCHEMA))}.")
        return self._tables[name], format

    async def _download(self, request: Request, table: Table, format: str) -> Download:
        parameters, downloads = request.query_params, self._downloads
        variables = parse_parameters(parameters, (*table.parameters, AFTER))
        after = variables.pop(AFTER, None)
        if after and not variables.get("at"):
            raise BadUserInput("after is given without at: resume at the address in the header Content-Location.")
        if after and not FORMATS[format].resumes:
            raise BadUserInput(
                f"A file of {format} has no part that could be appended: download it again, without after."
            )
        downloads.refuse_beyond()

        def begin(snapshot: Snapshot) -> tuple[Source, Chunk, Sequence[Point]]:
            rows = table.open(snapshot, variables)
            place = table.resume(snapshot, rows, after) if after else None
            points = points_of(snapshot, rows.pins)
            writer = FORMATS[format].make(File(table.name, table.columns, points, bool(after)))
            source = Source(table, rows, FORMATS[format].notation, writer, downloads.chunk_rows)
            return source, source.read(snapshot, place), points

        async with while_connected(request):
            source, chunk, points = await downloads.read(begin)
        client = self._rates.client(request.scope)
        client.take_cost(chunk.rows)
        headers = _headers(request, table, format, source.rows, points)
        return Download(downloads, format, client, headers, source, chunk)


def _headers(request: Request, table: Table, format: str, rows: RowList, points: Sequence[Point]) -> dict[str, str]:
    name = "-".join([table.name, *(str(point.number) for point in points)])
    headers = {
        "Content-Type": FORMATS[format].media_type,
        "Content-Disposition": f'attachment; filename="{name}.{format}"',
        "Cache-Control": "no-cache",
    }
    if points:
        address = address_at(request.url.path, request.query_params, rows.cursors.write(START))
        headers |= {"As-Of": ", ".join(map(str, points)), "Content-Location": address}
    return headers
