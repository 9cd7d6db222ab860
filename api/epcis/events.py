"""EPCIS events of the events of GraphQL: what, when, where from, why, and our own facts beside them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from api.epcis.event_ids import event_id
from api.epcis.vocabulary import PREFIX
from schema.events import ZERO_ADDRESS

Json = dict[str, Any]

NOBODY = f"0x{ZERO_ADDRESS.hex()}"

NOT_FACTS = {
    *("deviceDID", "eventTime", "eventTimeSeconds", "recordTime", "action", "bizStep", "disposition", "block"),
    "item",
    *("sender", "recipient", "vehicle", "device"),
}
"""Fields that repeat other fields of the event, or that the event did not state."""

CORRECTABLE = ("serialNumber", "imei", "devEUI", "hardwareRevision", "manufacturedAt")
"""The attributes that are fields of the certificate: a later value corrects an earlier one."""


def to_epcis(node: Json) -> Json:
    """Returns the EPCIS event of an event of GraphQL, without its id."""
    event = {
        "eventTime": node["eventTime"] or node["recordTime"],
        "eventTimeZoneOffset": "+00:00",
        "recordTime": node["recordTime"],
        **_what(node),
        "bizStep": node["bizStep"],
    }
    if node["disposition"]:
        event["disposition"] = node["disposition"]
    if node["kind"] == "DEVICE_TRANSFERRED":
        event |= _parties(node)
    facts = dict(_facts(node))
    minted = event["action"] == "ADD" and event["type"] == "ObjectEvent"
    if minted and facts:
        event["ilmd"] = facts
    return event | ({} if minted else facts) | _place(node)


def with_id(event: Json) -> Json:
    return {"eventID": event_id(event), **event}


def _what(node: Json) -> Json:
    """Returns the type of the event, its devices and its action: a pairing is an association with a vehicle."""
    vehicle = node.get("vehicle")
    if vehicle is None:
        return {"type": "ObjectEvent", "epcList": [node["deviceDID"]], "action": node["action"]}
    action = "ADD" if node["kind"] == "DEVICE_PAIRED" else "DELETE"
    pair = {"parentID": vehicle["tokenDID"], "childEPCs": [node["deviceDID"]]}
    return {"type": "AssociationEvent", **pair, "action": action}


def _parties(node: Json) -> Json:
    chain_id = node["block"]["chainId"]
    return {
        f"{end}List": [{"type": "owning_party", end: f"did:pkh:eip155:{chain_id}:{node[name]}"}]
        for end, name in (("source", "sender"), ("destination", "recipient"))
        if node[name] != NOBODY
    }


def _facts(node: Json) -> Iterator[tuple[str, str]]:
    if node["eventTime"] is None and node["eventTimeSeconds"] is not None:
        yield f"{PREFIX}:eventTimeSeconds", node["eventTimeSeconds"]
    for name, value in node.items():
        if name not in NOT_FACTS and name not in PLACE and value is not None:
            yield f"{PREFIX}:{name}", str(value["value"] if isinstance(value, Mapping) else value)


PLACE = ("kind", "contract", "transactionHash", "logIndex")


def _place(node: Json) -> Json:
    block = node["block"]
    named = {"chainId": block["chainId"], "blockNumber": block["number"], "blockHash": block["hash"]}
    place = {**named, **{key: node[key] for key in PLACE}, **({"item": node["item"]} if node["item"] else {})}
    return {f"{PREFIX}:{name}": str(value) for name, value in place.items()}


# Errors


def recorded_event(node: Json) -> Json:
    """Returns the event of a node with its id and, if later events correct what it states, the declaration of that."""
    event = with_id(to_epcis(node))
    corrections = list(_corrections(node))
    if corrections:
        event["errorDeclaration"] = {
            "declarationTime": corrections[0]["recordTime"],
            "reason": "incorrect_data",
            "correctiveEventIDs": [with_id(to_epcis(correction))["eventID"] for correction in corrections],
        }
    return event


def removed_event(row: Json) -> Json:
    """Returns the event that a reorg removed, as it is published again: it did not occur."""
    event = with_id(to_epcis(row["event"]))
    declared = {"declarationTime": row["orphanedAt"], "reason": "did_not_occur"}
    return {**event, "recordTime": row["orphanedAt"], "errorDeclaration": declared}


class Stated(NamedTuple):
    """A value of the certificate that an event states."""

    attribute: str
    value: str


def _corrections(node: Json) -> Iterator[Json]:
    """Yields the next event of each value that a node states, if it sets another value; in the order of the chain."""
    open_values = dict(_stated(node))
    for later in _attribute_sets(node):
        attribute = later["attribute"]
        is_later = _position(later) > _position(node)
        if is_later and attribute in open_values and later["value"] != open_values[attribute]:
            del open_values[attribute]
            yield later


def _stated(node: Json) -> Iterator[Stated]:
    if node["kind"] == "DEVICE_ATTRIBUTE_SET" and node["attribute"] in CORRECTABLE:
        yield Stated(node["attribute"], node["value"])
    elif node["kind"] == "DEVICE_MINTED":
        values = {"serialNumber": node["serialNumber"], "imei": node["imei"] and node["imei"]["value"]}
        values["manufacturedAt"] = node["manufacturedAt"] and node["eventTimeSeconds"]
        yield from (Stated(name, value) for name, value in values.items() if value is not None)


def _attribute_sets(node: Json) -> Sequence[Json]:
    device = node.get("device")
    return device["history"]["nodes"] if device else ()


def _position(node: Json) -> tuple[int, int, int]:
    return int(node["block"]["number"]), node["logIndex"], node["item"]
