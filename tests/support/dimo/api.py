"""What GraphQL returns for a DIMO network as of a block, in the form of the simulated world."""

from datetime import UTC, datetime
from typing import Any

from tests.support.api.asking import Api
from tests.support.dimo.tables import Facts

Json = dict[str, Any]

DEVICES = """
query Devices($block: BigInt!, $after: String) {
  devices(first: 50, after: $after, orderBy: {field: TOKEN_ID, direction: ASC}, asOf: {block: $block}) {
    nodes {
      tokenId owner address addresses { address } serialNumber imei { value } devEUI hardwareRevision
      attributes { name value }
      manufacturer { tokenId } manufacturerLicenseAtMint { status }
      mintedAt claimedAt provisionedAt beneficiary pairedVehicle { tokenId owner } pairedAt
      endOfLife { status occurredAt } factoryResets { totalCount }
      predecessor { tokenId }
      authorizedUsers(first: 50) { nodes { user source permissions } }
    }
    pageInfo { endCursor hasNextPage }
  }
}
"""
SUCCESSORS = """
query Successors($block: BigInt!) {
  devices(first: 100, orderBy: {field: TOKEN_ID, direction: ASC}, asOf: {block: $block}) {
    nodes { tokenId successor { tokenId } }
  }
}
"""
MAKERS = """
query Makers($block: BigInt!) {
  manufacturers(asOf: {block: $block}) { nodes { tokenId name owner license { status } } }
}
"""


VEHICLES = """
query Vehicles($block: BigInt!, $after: String) {
  vehicles(first: 50, after: $after, orderBy: {field: TOKEN_ID, direction: ASC}, asOf: {block: $block}) {
    nodes {
      tokenId owner manufacturer { tokenId } definitionId mintedAt burnedAt attributes { name value }
      device { tokenId } syntheticDevice { tokenId }
      authorizedUsers(first: 50) { nodes { user source permissions subject { ... on Vehicle { tokenId } } } }
    }
    pageInfo { endCursor hasNextPage }
  }
}
"""
SYNTHETICS = """
query Synthetics($block: BigInt!, $after: String) {
  syntheticDevices(first: 50, after: $after, orderBy: {field: TOKEN_ID, direction: ASC}, asOf: {block: $block}) {
    nodes {
      tokenId owner address vehicle { tokenId } connectionId mintedAt burnedAt attributes { name value }
      authorizedUsers(first: 50) { nodes { user source permissions } }
    }
    pageInfo { endCursor hasNextPage }
  }
}
"""


async def api_vehicles(api: Api, block: int) -> Facts:
    """Returns the API's values of each vehicle, page by page."""
    return {
        int(node["tokenId"]): {
            "owner": _address(node["owner"]),
            "manufacturer": _token(node["manufacturer"]),
            "definition": node["definitionId"],
            "minted_at": _seconds(node["mintedAt"]),
            "burned_at": _seconds(node["burnedAt"]),
            "attributes": {attribute["name"]: attribute["value"] for attribute in node["attributes"]},
            "device": _token(node["device"]),
            "synthetic": _token(node["syntheticDevice"]),
            "grants": dict(map(_grant, node["authorizedUsers"]["nodes"])),
        }
        for node in await _nodes(api, VEHICLES, "vehicles", block)
    }


async def api_synthetics(api: Api, block: int) -> Facts:
    """Returns the API's values of each synthetic device, page by page."""
    return {
        int(node["tokenId"]): {
            "owner": _address(node["owner"]),
            "address": _address(node["address"]),
            "vehicle": _token(node["vehicle"]),
            "connection": int(node["connectionId"]),
            "minted_at": _seconds(node["mintedAt"]),
            "burned_at": _seconds(node["burnedAt"]),
            "attributes": {attribute["name"]: attribute["value"] for attribute in node["attributes"]},
            "grants": dict(map(_grant, node["authorizedUsers"]["nodes"])),
        }
        for node in await _nodes(api, SYNTHETICS, "syntheticDevices", block)
    }


GRANTS = """
query Grants($block: BigInt!, $after: String, $users: [Address!]) {
  authorizations(first: 100, after: $after, filterBy: {user: {in: $users}}, asOf: {block: $block}) {
    nodes {
      user source permissions
      subject {
        __typename
        ... on Device { tokenId }
        ... on Vehicle { tokenId }
        ... on SyntheticDevice { tokenId }
        ... on Manufacturer { tokenId }
        ... on Account { address }
      }
    }
    pageInfo { endCursor hasNextPage }
  }
}
"""


async def api_grants(api: Api, block: int, users: set[str]) -> set[tuple[str, ...]]:
    """Returns type and name of the subject, user, source and scope of all grants of the users."""
    grants: set[tuple[str, ...]] = set()
    for node in await _nodes(api, GRANTS, "authorizations", block, users=sorted(users)):
        subject = node["subject"]
        name = subject.get("tokenId") or subject["address"].lower()
        (user, source, scope), _ = _grant(node)
        grants.add((subject["__typename"], name, str(user), source, scope))
    return grants


async def _nodes(api: Api, query: str, field: str, block: int, **variables: Any) -> list[Json]:
    """Returns the nodes of all pages of a list."""
    nodes: list[Json] = []
    after, more = None, True
    while more:
        page = (await api.ask(query, block=str(block), after=after, **variables))[field]
        nodes += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return nodes


async def api_devices(api: Api, block: int) -> Facts:
    """Returns the API's values of each device, page by page."""
    return {int(node["tokenId"]): _values(node) for node in await _nodes(api, DEVICES, "devices", block)}


async def api_makers(api: Api, block: int) -> Facts:
    """Returns the API's name, owner and license of each manufacturer."""
    nodes = (await api.ask(MAKERS, block=str(block)))["manufacturers"]["nodes"]
    return {
        int(node["tokenId"]): {
            "name": node["name"],
            "owner": _address(node["owner"]),
            "license": node["license"]["status"],
        }
        for node in nodes
    }


async def api_successors(api: Api, block: int) -> dict[int, int]:
    """Returns the successor of each of the first hundred tokens that has one."""
    nodes = (await api.ask(SUCCESSORS, block=str(block)))["devices"]["nodes"]
    pairs = {int(node["tokenId"]): _token(node["successor"]) for node in nodes}
    return {old: new for old, new in pairs.items() if new is not None}


def _values(node: Json) -> Json:
    return {
        "owner": _address(node["owner"]),
        "address": _address(node["address"]),
        "addresses": [_address(held["address"]) for held in reversed(node["addresses"])],
        "serial": node["serialNumber"],
        "imei": node["imei"] and node["imei"]["value"],
        "dev_eui": node["devEUI"],
        "revision": node["hardwareRevision"],
        "attributes": {attribute["name"]: attribute["value"] for attribute in node["attributes"]},
        "manufacturer": _token(node["manufacturer"]),
        "license_at_mint": node["manufacturerLicenseAtMint"]["status"],
        "minted_at": _seconds(node["mintedAt"]),
        "claimed_at": _seconds(node["claimedAt"]),
        "provisioned_at": _seconds(node["provisionedAt"]),
        "beneficiary": _address(node["beneficiary"]),
        "vehicle": _token(node["pairedVehicle"]),
        "paired_at": _seconds(node["pairedAt"]),
        "end_of_life": node["endOfLife"]["status"],
        "ended_at": _seconds(node["endOfLife"]["occurredAt"]),
        "resets": node["factoryResets"]["totalCount"],
        "predecessor": _token(node["predecessor"]),
        "grants": dict(map(_grant, node["authorizedUsers"]["nodes"])),
    }


def _grant(node: Json) -> tuple[tuple[str | None, str, str], int | None]:
    source, _, scope = node["source"].partition(":")
    permissions = node["permissions"]
    return (_address(node["user"]), source, scope), None if permissions is None else int(permissions)


def _address(value: str | None) -> str | None:
    return value and value.lower()


def _token(thing: Json | None) -> int | None:
    return None if thing is None else int(thing["tokenId"])


def _seconds(value: str | None) -> int | None:
    return None if value is None else int(datetime.fromisoformat(value).astimezone(UTC).timestamp())
