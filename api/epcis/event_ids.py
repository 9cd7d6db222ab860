"""The id of an EPCIS event: the hash of its content, by the Core Business Vocabulary 2.0 (section 8.9).

The content is written in one canonical form: the fields of the standard in a fixed order, then all others in the order
of their texts. `recordTime`, `eventID` and `errorDeclaration` are left out. So everyone computes the same id, and a
declaration of an error has the id of the event that it is about.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from api.epcis.vocabulary import NAMESPACE, PREFIX

Json = dict[str, Any]

EVENT_ID = re.compile(r"ni:///sha-256;[0-9a-f]{64}\?ver=CBV2\.0")

WEB = "https://ref.gs1.org/cbv/"
URNS = {
    "urn:epcglobal:cbv:bizstep:": f"{WEB}BizStep-",
    "urn:epcglobal:cbv:disp:": f"{WEB}Disp-",
    "urn:epcglobal:cbv:btt:": f"{WEB}BTT-",
    "urn:epcglobal:cbv:sdt:": f"{WEB}SDT-",
    "urn:epcglobal:cbv:er:": f"{WEB}ER-",
}
"""Older names of the vocabulary, which become the newer ones."""


def event_id(event: Json) -> str:
    """Returns the id of an event that has the fields of `events.py`."""
    return f"ni:///sha-256;{sha256(canonical_text(event).encode()).hexdigest()}?ver=CBV2.0"


def canonical_text(event: Json) -> str:
    return "".join([*_standard(event), *sorted(_others(event))])


def _standard(event: Json) -> Iterator[str]:
    yield f"eventType={event['type']}"
    yield f"eventTime={event['eventTime'].removesuffix('Z')}.000Z"
    yield f"eventTimeZoneOffset={event['eventTimeZoneOffset']}"
    if "parentID" in event:
        yield f"parentID={event['parentID']}"
    for name in ("epcList", "childEPCs"):
        if name in event:
            yield name + "".join(sorted(f"epc={epc}" for epc in event[name]))
    yield f"action={event['action']}"
    yield f"bizStep={WEB}BizStep-{event['bizStep']}"
    if "disposition" in event:
        yield f"disposition={WEB}Disp-{event['disposition']}"


def _others(event: Json) -> Iterator[str]:
    for end in ("source", "destination"):
        for party in event.get(f"{end}List", ()):
            yield f"{end}Listtype={WEB}SDT-{party['type']}{end}={party[end]}"
    if "ilmd" in event:
        yield "ilmd" + "".join(sorted(_extensions(event["ilmd"])))
    yield from _extensions(event)


def _extensions(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name.startswith(f"{PREFIX}:"):
            text = canonical_value(value)
            yield f"{{{NAMESPACE}}}{name.removeprefix(f'{PREFIX}:')}" + (f"={text}" if text else "")


def canonical_value(text: str) -> str:
    """Returns a value in canonical form: without spaces around it, a number without zeros that mean nothing."""
    text = text.strip()
    for urn, url in URNS.items():
        text = text.replace(urn, url)
    try:
        number = float(text)
        return str(int(number) if int(number) == number else number)
    except (ValueError, OverflowError):  # no number, or not a finite one
        return text
