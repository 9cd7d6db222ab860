"""`/device/{did}/compare?from=&to=`: what changed about a device between two points, and the events that did it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from api.explorer.page import Json, Page
from api.explorer.pages.device import QUESTIONS
from api.explorer.problems import Problem, Redirect, WayOut
from api.explorer.tokens import did_of, require_token
from api.explorer.values import day, instant
from api.explorer.visit import Visit
from api.http.as_of import AsOf

PERIODS = (("30 days", timedelta(days=30)), ("12 months", timedelta(days=365)))
"""The periods that the page offers, back from the second point."""

Source = Callable[[Json], Json | None]


class Field(NamedTuple):
    """A value that is compared: its name, how the template shows it, and how it and its event are read of a device.

    `reason` states what changed a value that no event changed.
    """

    label: str
    kind: str
    value: Callable[[Json], Any]
    source: Source
    reason: Callable[[Json], str] = lambda device: "no event of the device"


class Change(NamedTuple):
    """A value that differs. `event` changed it; if none did, `reason` states what did."""

    label: str
    kind: str
    before: Any
    after: Any
    event: Json | None
    reason: str = ""


def _stated(label: str, name: str, kind: str = "text", value: Callable[[Json], Any] | None = None) -> Field:
    return Field(label, kind, value or (lambda device: device[name]), lambda device: device[f"{name}Source"]["event"])


def _part(name: str, key: str) -> Callable[[Json], Any]:
    return lambda device: device[name] and device[name][key]


def _license(label: str, name: str) -> Field:
    def status(device: Json) -> Any:
        return device[name] and device[name]["license"]["status"]

    def event(device: Json) -> Any:
        license = device[name]["license"] if status(device) not in (None, "EXPIRED") else {}
        return license.get("revocation") or license.get("grant")

    def reason(device: Json) -> str:
        return _expired(device[name]["license"]) if status(device) == "EXPIRED" else "no event"

    return Field(label, "license", status, event, reason)


def _expired(row: Json) -> str:
    return f"expired {day(row['expiresAt'])}"


def _last(name: str) -> Source:
    return lambda device: next(iter(device[name]["nodes"]), None)


def _result(name: str) -> Callable[[Json], Any]:
    return lambda device: (
        device[name]["nodes"]
        and {
            "passed": device[name]["nodes"][0]["passed"],
            "testedAt": device[name]["nodes"][0]["testedAt"],
            "count": device[name]["totalCount"],
        }
    )


def _count(name: str) -> Callable[[Json], Any]:
    return lambda device: device[name]["totalCount"]


FIELDS = (
    _stated("State", "endOfLife", "state", _part("endOfLife", "status")),
    _stated("Owner", "owner", "address"),
    _stated("Serial number", "serialNumber"),
    _stated("IMEI", "imei", value=_part("imei", "value")),
    _stated("DevEUI", "devEUI"),
    _stated("0x address", "address", "hash"),
    _stated("Manufacturer", "manufacturer", value=_part("manufacturer", "name")),
    _license("Manufacturer license", "manufacturer"),
    _stated("Manufactured", "manufacturedAt", "day"),
    _stated("Hardware license", "hardwareLicense", value=_part("hardwareLicense", "model")),
    _license("Status of the hardware license", "hardwareLicense"),
    _stated("Hardware revision", "hardwareRevision"),
    Field("In-circuit test", "test", _result("inCircuitTests"), _last("inCircuitTests")),
    Field("Mechanical test", "test", _result("mechanicalTests"), _last("mechanicalTests")),
    Field("Quality inspection", "test", _result("qualityInspections"), _last("qualityInspections")),
    _stated("Initial firmware", "initialFirmware"),
    _stated("Provisioned", "provisionedAt", "day"),
    _stated("Firmware", "firmware", value=_part("firmware", "version")),
    Field("Firmware updates", "number", _count("firmwareUpdates"), _last("firmwareUpdates")),
    Field("Factory resets", "number", _count("factoryResets"), _last("factoryResets")),
    _stated("Facility of the end of life", "endOfLife", value=_part("endOfLife", "facility")),
    _stated("Sanitization", "endOfLife", "sanitization", _part("endOfLife", "sanitization")),
    _stated("Claimed", "claimedAt", "day"),
    _stated("Beneficiary", "beneficiary", "address"),
    _stated("Paired vehicle", "pairedVehicle", "number", _part("pairedVehicle", "tokenId")),
)
"""In the order in which changes are listed."""


def compare_variables(visit: Visit) -> Json:
    begin, end = points(visit)
    return {"did": did_of(visit), "from": begin and begin.variable, "to": end and end.variable}


def points(visit: Visit) -> tuple[AsOf | None, AsOf | None]:
    """Returns the two points, None for the present. Without `to` the second is that of `asOf`. Raises Problem."""
    return visit.point("from"), visit.point("to") if visit.parameter("to") else visit.as_of


def view(data: Json, visit: Visit) -> dict[str, Any]:
    before, after = data["before"], data["after"]
    _require_order(before, after, visit)
    device = require_token(after, visit)
    if not visit.parameter("from") and device["mintedAt"]:
        raise Redirect(visit.here(**{"from": device["mintedAt"]}))
    begin, end = points(visit)
    count = device["history"]["totalCount"] - (before["history"]["totalCount"] if before else 0)
    events = device["events"]["nodes"][: max(count, 0)]
    return {
        "device": device,
        "before": before,
        "begin": begin,
        "end": end,
        "changes": [*_changed_fields(before, device), *_changed_attributes(before, device, events)],
        "access": list(_changed_access(before, device)),
        "checks": list(_changed_checks(before, device)),
        "events": events,
        "event_count": count,
        "periods": list(_periods(device, visit)),
    }


def _periods(device: Json, visit: Visit) -> Iterator[tuple[str, str]]:
    """Yields each period that begins after the mint, with its address."""
    end = instant(device["asOf"]["timestamp"])
    for text, length in PERIODS:
        begin = (end - length).date()
        if device["mintedAt"] and begin > instant(device["mintedAt"]).date():
            yield text, visit.here(**{"from": begin.isoformat()})


def _require_order(before: Json | None, after: Json | None, visit: Visit) -> None:
    begin, end = visit.parameter("from"), visit.parameter("to") or visit.parameter("asOf")
    is_later = before and (after is None or int(before["asOf"]["number"]) > int(after["asOf"]["number"]))
    if is_later and begin:
        message = f"from is “{begin[:80]}”, which is later than “{end[:80]}”."
        swapped = WayOut("Compare them the other way round", visit.here(to=begin, asOf=None, **{"from": end}))
        raise Problem(400, "These two points are in the wrong order", message, [swapped])


def _changed_fields(before: Json | None, after: Json) -> Iterator[Change]:
    for field in FIELDS:
        old, new = field.value(before) if before else None, field.value(after)
        if (old or None) != (new or None):
            event = field.source(after)
            yield Change(field.label, field.kind, old, new, event, "" if event else field.reason(after))


def _changed_attributes(before: Json | None, after: Json, events: list[Json]) -> Iterator[Change]:
    old, new = (
        {attribute["name"]: attribute["value"] for attribute in (device or {}).get("attributes", ())}
        for device in (before, after)
    )
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            event = next((event for event in events if event.get("attribute") == name), None)
            yield Change(name, "text", old.get(name), new.get(name), event)


def _changed_access(before: Json | None, after: Json) -> Iterator[Change]:
    """Yields a change for each user who gained, kept under other terms, or lost access by one grant system."""
    old, new = _grants_in_force(before), _grants_in_force(after)
    ends = {_identity(grant): grant["revocation"] for grant in after["grants"]["nodes"]}
    for key in [*new, *(key for key in old if key not in new)]:
        gone, grant = old.get(key), new.get(key)
        if gone and grant and _identity(gone) == _identity(grant):
            continue
        event = grant["grant"] if grant else ends.get(_identity(old[key]))
        expired = _expired(gone) if gone and gone["expiresAt"] else ""
        yield Change(key[0], "grant", gone, grant, event, expired)


def _grants_in_force(device: Json | None) -> dict[tuple[str, str], Json]:
    grants = device["grants"]["nodes"] if device else []
    return {(grant["user"], grant["source"]): grant for grant in grants if grant["active"]}


def _identity(grant: Json) -> tuple[str, ...]:
    return grant["user"], grant["source"], grant["grantedAt"]


def _changed_checks(before: Json | None, after: Json) -> Iterator[Change]:
    for name, question in QUESTIONS.items():
        old, new = before and before["provenance"][name], after["provenance"][name]
        if (old and old["verdict"]) != new["verdict"]:
            event = new["evidence"][-1] if new["evidence"] else None
            yield Change(question, "verdict", old and old["verdict"], new["verdict"], event, new["reason"])


COMPARE = Page(path="/device/{did}/compare", name="compare", variables=compare_variables, view=view)
