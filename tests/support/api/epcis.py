"""A client of EPCIS 2.0, and the judges of its answers: the rules of the standard, and a generator of ids."""

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
from epcis_event_hash_generator.hash_generator import epcis_hashes_from_events
from epcis_event_hash_generator.json_to_py import event_list_from_epcis_document_json

from tests.support.api.server import CLIENT

Json = dict[str, Any]

RULES = json.loads((Path(__file__).parents[2] / "standards" / "epcis.schema.json").read_text())
URI = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]+')
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

FORMATS = jsonschema.FormatChecker(())
FORMATS.checks("uri")(lambda value: URI.fullmatch(value) is not None)
FORMATS.checks("date-time")(lambda value: TIME.fullmatch(value) is not None)
VALIDATOR = jsonschema.Draft7Validator(RULES, format_checker=FORMATS)


def events_of(response: httpx.Response) -> list[Json]:
    """Returns the events of a page, which keeps the rules of the standard."""
    assert response.status_code == 200, response.text
    document = response.json()
    VALIDATOR.validate(document)
    events: list[Json] = document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return events


def pages_of(url: str, **parameters: Any) -> Iterator[httpx.Response]:
    """Yields the pages from an address on, by the links in their headers."""
    response = CLIENT.get(url, params=parameters)
    yield response
    while "next" in response.links:
        response = CLIENT.get(response.links["next"]["url"])
        yield response


def all_events(url: str, **parameters: Any) -> list[Json]:
    return [event for page in pages_of(url, **parameters) for event in events_of(page)]


def generated_ids(response: httpx.Response) -> list[str]:
    """Returns the ids that the generator computes for the events of a page."""
    document = response.json()
    events = document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    of_events = {"@context": document["@context"], "type": "EPCISDocument", "epcisBody": {"eventList": events}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the generator reads its files by an older function
        ids: list[str] = epcis_hashes_from_events(event_list_from_epcis_document_json(of_events))
    return ids


def the_problem(response: httpx.Response) -> Json:
    """Returns the problem document of a response."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: Json = response.json()
    assert problem["status"] == response.status_code
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["gs1-epcis-version"] == "2.0.0"
    return problem
