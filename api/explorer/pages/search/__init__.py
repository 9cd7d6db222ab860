"""`/search?q=`: everything that a key names. A key that names one thing leads there at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from api.explorer.filters import ADDRESS
from api.explorer.page import Json, Page
from api.explorer.problems import Redirect
from api.explorer.visit import Visit
from api.http.as_of import HASH, NUMBER
from schema.did import parse_did

LONGEST = 10_000
"""Characters of a key. The longest serial numbers of real chains are shorter."""

DIGITS_OF_A_BLOCK = 18
DEVICES_SHOWN = 20
KEYED, BEGUN = ("devices", "devicesInCapitals"), ("begins", "beginsInCapitals")
"""The connections with the devices that have the key, and with those whose serial number begins with it."""


class Hit(NamedTuple):
    """Something that the key names: what it is, its name, more about it, and its page."""

    kind: str
    name: str
    more: str
    href: str


def search_variables(visit: Visit) -> Json:
    key = visit.parameter("q")[:LONGEST]
    is_name = not (ADDRESS.fullmatch(key) or HASH.fullmatch(key) or parse_did(key))
    is_number = bool(NUMBER.fullmatch(key)) and len(key) <= DIGITS_OF_A_BLOCK
    return {
        "key": key,
        "capitals": key.upper(),  # as most labels are printed
        "isAddress": bool(ADDRESS.fullmatch(key)),
        "address": key if ADDRESS.fullmatch(key) else None,
        "isHash": bool(HASH.fullmatch(key)),
        "hash": key if HASH.fullmatch(key) else "0x" + "00" * 32,
        "isNumber": is_number,
        "number": key if is_number else None,
        "isDID": parse_did(key) is not None,
        "isName": is_name,
        "isSmall": is_name and key != key.upper(),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    key = visit.parameter("q")
    hits = (
        [hit for hits_of in (_devices, _vehicles, _accounts, _chain, _names) for hit in hits_of(data, visit, key)]
        if key
        else []
    )
    if len(hits) == 1:
        raise Redirect(hits[0].href)
    return {
        "key": key,
        "hits": hits,
        "device_count": sum(data.get(name, {}).get("totalCount", 0) for name in KEYED),
        "begins": bool(key) and not _nodes(data, KEYED) and len(_nodes(data, BEGUN)) == DEVICES_SHOWN,
    }


def _devices(data: Json, visit: Visit, key: str) -> list[Hit]:
    return [
        Hit(
            "Device",
            device["serialNumber"] or f"Token {device['tokenId']}",
            (device["hardwareLicense"] or {}).get("model") or f"token {device['tokenId']}",
            visit.link(f"/device/{device['tokenDID']}"),
        )
        for device in _nodes(data, KEYED) or _nodes(data, BEGUN)
    ]


def _nodes(data: Json, connections: Sequence[str]) -> list[Json]:
    """Returns the devices of these connections, each once."""
    nodes = [node for name in connections for node in data.get(name, {}).get("nodes", ())]
    return list({node["tokenDID"]: node for node in nodes}.values())[:DEVICES_SHOWN]


def _vehicles(data: Json, visit: Visit, key: str) -> list[Hit]:
    vehicles = [*data.get("vehicles", {}).get("nodes", ()), data.get("vehicle")]
    synthetics = [
        *data.get("syntheticDevices", {}).get("nodes", ()),
        *data.get("atAddress", {}).get("nodes", ()),
        data.get("syntheticDevice"),
    ]
    return [
        Hit(
            "Vehicle",
            f"Vehicle {vehicle['tokenId']}",
            vehicle["definitionId"] or "",
            visit.link(f"/vehicle/{vehicle['tokenDID']}"),
        )
        for vehicle in vehicles
        if vehicle
    ] + [
        Hit(
            "Synthetic device",
            f"Synthetic device {synthetic['tokenId']}",
            f"of vehicle {synthetic['vehicle']['tokenId']}" if synthetic["vehicle"] else "",
            visit.link(f"/synthetic-device/{synthetic['tokenDID']}"),
        )
        for synthetic in synthetics
        if synthetic
    ]


def _accounts(data: Json, visit: Visit, key: str) -> list[Hit]:
    hits = []
    if owned := _counts(data, devices="owned", vehicles="ownedVehicles"):
        hits.append(Hit("Owner", key, f"owns {owned}", visit.link(f"/owner/{key}")))
    if shared := _counts(data, devices="shared", vehicles="sharedVehicles"):
        hits.append(Hit("User", key, f"has access to {shared}", visit.link(f"/user/{key}")))
    for maker in data.get("account", {}).get("nodes", ()):
        hits.append(_manufacturer(maker, visit))
    return hits


def _counts(data: Json, **connections: str) -> str:
    """Returns how many of each noun there are, of those that there are: 3 devices and 2 vehicles."""
    counts = {noun: data.get(connection, {}).get("totalCount", 0) for noun, connection in connections.items()}
    return " and ".join(f"{count:,} {noun}" for noun, count in counts.items() if count)


def _chain(data: Json, visit: Visit, key: str) -> list[Hit]:
    hits = []
    if transaction := data.get("transaction"):
        hits.append(Hit("Transaction", key, f"in block {transaction['block']['number']}", visit.link(f"/tx/{key}")))
    elif data.get("removedTransaction", {}).get("totalCount"):
        hits.append(Hit("Transaction", key, "removed by a reorg", visit.link(f"/tx/{key}")))
    if events := data.get("inBlock", {}).get("totalCount") or data.get("blockOfHash", {}).get("totalCount"):
        hits.append(Hit("Block", key, f"{events:,} events", visit.link(f"/block/{key}")))
    elif data.get("removedBlock", {}).get("totalCount"):
        hits.append(Hit("Block", key, "removed by a reorg", visit.link(f"/block/{key}")))
    return hits


def _names(data: Json, visit: Visit, key: str) -> list[Hit]:
    hits = [_manufacturer(maker, visit) for maker in data.get("makers", {}).get("nodes", ())]
    hits += [
        Hit(
            "Model",
            model["model"] or f"hardware license {model['hardwareLicenseId']}",
            (model["manufacturer"] or {}).get("name") or "",
            visit.link(f"/model/{model['hardwareLicenseId']}"),
        )
        for model in data.get("models", {}).get("nodes", ())
    ]
    users = {grant["user"]: grant["organization"] for grant in data.get("organizations", {}).get("nodes", ())}
    return hits + [
        Hit("Organization", name, f"as which {user} was authorized", visit.link(f"/user/{user}"))
        for user, name in users.items()
    ]


def _manufacturer(maker: Json, visit: Visit) -> Hit:
    href = visit.link(f"/manufacturer/{maker['tokenId']}")
    return Hit("Manufacturer", maker["name"] or f"manufacturer {maker['tokenId']}", f"id {maker['tokenId']}", href)


SEARCH = Page(path="/search", name="search", variables=search_variables, view=view)
