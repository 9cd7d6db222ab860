"""`POST /lookup`: the device of each of thousands of keys, one row each, at one block."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.exports.download import Downloads
from api.exports.parameters import parse_parameters
from api.exports.points import Point, points_of
from api.exports.refusals import refusal_of
from api.exports.table import Table
from api.graphql.errors import BadUserInput, Refusal
from api.graphql.plan.write import CSV, FORMULA, JSON, Notation, quote_cell
from api.http.disconnects import Endpoint, while_connected
from api.http.rates import Rates
from api.http.requests import RequestError, parse_json, read_body
from api.queries.devices import DEVICE
from api.queries.devices_by_key import DID, KINDS, devices_by_key
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from api.queries.sql.relations import rows_by_key
from api.reading.snapshot import Snapshot
from schema.did import did_of

MAX_KEYS = 10_000
"""Keys of a request: their rows are about 4 MB. MAX_COST may be lower, and bounds them then."""

MAX_CANDIDATES = 10
"""Devices that are named of a key that several have."""

PARAMETERS = ("by", "asOf", "format")
KINDS_OF_KEYS = (*KINDS, DID)
MEDIA_TYPES = {"csv": "text/csv", "json": "application/json"}
NOTATIONS = {"csv": CSV, "json": JSON}

COLUMNS = ("lookup", "result", "candidates")
"""The columns before those of a device."""

MATCH, AMBIGUOUS, NONE = "MATCH", "AMBIGUOUS", "NONE"


class Answer(NamedTuple):
    """The results of all keys as texts of rows, and the blocks that they were read at."""

    points: Sequence[Point]
    rows: Sequence[str]


class LookupEndpoint(Endpoint):
    """An ASGI application that looks keys up."""

    def __init__(self, devices: Table, downloads: Downloads, rates: Rates) -> None:
        self._devices = devices
        self._downloads = downloads
        self._rates = rates
        self._max_keys = min(MAX_KEYS, downloads.settings.max_cost)

    async def respond(self, request: Request) -> ASGIApp:
        try:
            if request.method != "POST":
                message = f"{request.method} is not answered: send POST, with the keys as CSV or JSON."
                raise RequestError(405, message, {"Allow": "POST"})
            client = self._rates.client(request.scope)
            client.take_request()
            variables = parse_parameters(request.query_params, PARAMETERS)
            kinds, sent = _kinds(variables.pop("by", "any")), _sent(request)
            format = _format(variables.pop("format", sent))
            keys = await self._keys(request, sent)
            client.take_cost(len(keys))
            async with while_connected(request):
                answer = await self._downloads.read(
                    lambda snapshot: _look_up(self._devices, snapshot, keys, kinds, variables, NOTATIONS[format])
                )
            self._downloads.rows["lookup", format] += len(keys)
            return self._response(answer, format)
        except (RequestError, Refusal) as error:
            return refusal_of(error)

    async def _keys(self, request: Request, sent: str) -> list[str]:
        body = await read_body(request, self._downloads.settings.max_body_bytes)
        keys = READERS[sent](body)
        if len(keys) > self._max_keys:
            raise BadUserInput(f"The body has {len(keys)} keys: send at most {self._max_keys} at a time.")
        return keys

    def _response(self, answer: Answer, format: str) -> Response:
        headers = {"Cache-Control": "no-store", "As-Of": ", ".join(map(str, answer.points))}
        if format == "csv":
            names = ",".join([*COLUMNS, *(column.name for column in self._devices.columns)])
            return Response(f"{names}\n{''.join(answer.rows)}", 200, headers, "text/csv; charset=utf-8; header=present")
        blocks = json.dumps([point.facts() for point in answer.points])
        return Response(f'{{"blocks":{blocks},"rows":[{",".join(answer.rows)}]}}', 200, headers, "application/json")


def _kinds(by: Any) -> Sequence[str]:
    if by == "any":
        return KINDS_OF_KEYS
    if by not in KINDS_OF_KEYS:
        raise BadUserInput(f'by is "{str(by)[:80]}": it is any (the default), {", ".join(KINDS_OF_KEYS)}.')
    return [str(by)]


def _format(format: Any) -> str:
    if format not in MEDIA_TYPES:
        raise BadUserInput(f'There is no format "{str(format)[:80]}" here. Formats: {", ".join(MEDIA_TYPES)}.')
    return str(format)


def _sent(request: Request) -> str:
    """Returns the format of the body. Raises RequestError."""
    header = request.headers.get("content-type", "")
    content_type = header.partition(";")[0].strip().lower()
    for format, media_type in MEDIA_TYPES.items():
        if content_type == media_type:
            return format
    accepted = ", ".join(MEDIA_TYPES.values())
    raise RequestError(415, f'Content-Type is "{header[:100]}": send {accepted}.', {"Accept-Post": accepted})


# The keys of a body


def _read_json(body: bytes) -> list[str]:
    value = parse_json(body, "The body")
    keys = value.get("keys") if isinstance(value, dict) else value
    if not isinstance(keys, list):
        raise BadUserInput('The body is no list of keys. Example: {"keys": ["SN-001", "42"]}')
    for place, key in enumerate(keys):
        if type(key) not in (str, int):
            raise BadUserInput(f"Key {place} is {json.dumps(key)[:80]}: a key is a text, or a token id as a number.")
    return list(map(str, keys))


def _read_csv(body: bytes) -> list[str]:
    try:
        text = body.decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeError as error:
        raise RequestError(400, f"The body is not UTF-8: {error}.") from None
    except csv.Error as error:
        raise RequestError(400, f"The body is not CSV: {error}.") from None
    while lines and not any(lines[-1]):
        lines.pop()  # spreadsheets write such lines below the last row; one between rows is a row with an empty key
    first = next((number for number, line in enumerate(lines) if any(line)), 0)
    names = [name.strip().lower() for name in lines[first]] if lines else []
    if "lookup" in names:
        place, lines = names.index("lookup"), lines[first + 1 :]
    elif len(names) <= 1:
        place = 0
    else:
        raise BadUserInput(f'The body has {len(names)} columns: name that of the keys "lookup" in its first line.')
    return [_plain(line[place]) if place < len(line) else "" for line in lines]


def _plain(cell: str) -> str:
    """Returns the text of a cell, without the apostrophe that our own CSV puts before a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA else cell


READERS: Mapping[str, Callable[[bytes], list[str]]] = {"csv": _read_csv, "json": _read_json}


# Their devices


def _look_up(
    table: Table,
    snapshot: Snapshot,
    keys: Sequence[str],
    kinds: Sequence[str],
    variables: Mapping[str, Any],
    notation: Notation,
) -> Answer:
    pins = table.open(snapshot, variables).pins
    devices = snapshot.read_now(devices_by_key, pins, keys, kinds)
    single = list(dict.fromkeys(next(iter(refs)) for refs in devices.values() if len(refs) == 1))
    texts = dict(zip(single, table.write_rows(snapshot, DEVICE, single, notation), strict=True))
    several = {text: _candidates(snapshot, refs) for text, refs in devices.items() if len(refs) > 1}
    write = WRITERS[notation]
    nothing = "," * (len(table.columns) - 1) + "\n" if notation is CSV else ""
    rows = []
    for key in keys:
        refs = devices.get(key, ())
        if len(refs) == 1:
            rows.append(write(key, MATCH, (), texts[next(iter(refs))]))
        else:
            rows.append(write(key, AMBIGUOUS if refs else NONE, several.get(key, ()), nothing))
    return Answer(points_of(snapshot, pins), rows)


def _candidates(snapshot: Snapshot, refs: set[tuple[Pin, int]]) -> list[str]:
    """Returns the DIDs of the first devices that have a key."""
    ordered = sorted(refs, key=lambda ref: (ref[0].chain_id, ref[1]))[:MAX_CANDIDATES]
    names = ("chain_id", "contract", "token_id")
    rows = snapshot.read_now(rows_by_key, DEVICE, names, [key_of(pin, id) for pin, id in ordered])
    return [did_of(row[0], row[1], row[2]) for row in rows if row is not None]


def _csv_row(key: str, result: str, candidates: Sequence[str], device: str) -> str:
    return f"{quote_cell(key)},{result},{' '.join(candidates)},{device}"


def _json_row(key: str, result: str, candidates: Sequence[str], device: str) -> str:
    return (
        f'{{"lookup":{JSON.quote(key)},"result":"{result}","candidates":{json.dumps(candidates)},'
        f'"device":{device.rstrip() or "null"}}}'
    )


WRITERS: Mapping[Notation, Callable[[str, str, Sequence[str], str], str]] = {CSV: _csv_row, JSON: _json_row}
