"""The operations of operations.graphql, and sample variables for them from what is indexed."""

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from graphql import parse, print_ast
from graphql.utilities import separate_operations

Json = dict[str, Any]
Ask = Callable[..., Awaitable[Json]]
"""`await ask(query, name=value)` returns the data of a response without errors."""

FILE = Path(__file__).with_suffix(".graphql")
OPERATIONS = {name: print_ast(document) for name, document in separate_operations(parse(FILE.read_text())).items()}
"""Each operation with its fragments, by name."""

REFUSED = {"Q05OneKeyExactly", "Q07SharedSerial", "Q30Abuse"}
"""Operations that are answered with errors."""

NOBODY = "0x" + "00" * 20
LONG_AGO = "2000-01-01T00:00:00Z"
DEVICES = """query ($after: String) { devices(first: 100, after: $after, orderBy: {field: TOKEN_ID, direction: ASC}) {
  pageInfo { hasNextPage endCursor }
  nodes { id tokenDID tokenId owner address addresses { address } serialNumber imei { value } devEUI
    manufacturer { id tokenId } hardwareLicense { id } mint { transactionHash } mintedAt lastUpdatedAt
    authorizedUsers(first: 1) { nodes { id organization } } history(first: 2) { totalCount nodes { id } } } } }"""
BLOCKS = """query ($id: ID!) { device(by: {id: $id}) { asOf { number hash timestamp }
  history(first: 100) { nodes { block { number hash timestamp } } } } }"""


async def samples(ask: Ask) -> dict[str, list[Json]]:
    """Returns sets of variables for each operation; some name things that the index does not hold."""
    devices = await _devices(ask)
    return Samples(devices, await _blocks(ask, devices), await _cursors(ask, devices)).of_all()


class Samples:
    """Variables, by the devices (`DEVICES`), the blocks of the richest and the cursors of the richest owner."""

    def __init__(self, devices: list[Json], blocks: list[Json], cursors: list[str]) -> None:
        self.devices = devices
        self.blocks = blocks
        self.cursors = cursors
        self.device = richest(devices)
        self.owner = _most_common(device["owner"] for device in devices) or NOBODY
        self.shared_serial = _most_common(device["serialNumber"] for device in devices) or "none"
        self.then = blocks[len(blocks) // 2]["timestamp"]

    def of_all(self) -> dict[str, list[Json]]:
        did = {"did": self.device["tokenDID"]}
        organization = _most_common(
            grant["organization"] for device in self.devices for grant in device["authorizedUsers"]["nodes"]
        )
        return {
            "Q01DevicesOfOwner": [{"owner": self.owner}, {"owner": NOBODY}],
            "Q02NextPages": [{"owner": self.owner, "after": cursor} for cursor in (None, *self.cursors)],
            "Q03LastBefore": [{"owner": self.owner, "before": cursor} for cursor in self.cursors],
            "Q04EachKey": [self._each_key()],
            "Q05OneKeyExactly": [{"by": {"imei": "3", "tokenId": "1"}}, {"by": {}}, {"by": {"imei": None}}],
            "Q06Unknown": [{}],
            "Q07SharedSerial": [{"serial": self.shared_serial}],
            "Q08AnyCase": [self._any_case()],
            "Q09FirmwareBelow": [{}],
            "Q10NotUpdatedSince": [{"date": date} for date in (LONG_AGO, self.then)],
            "Q11ManyResets": [{"thirtyDaysAgo": date} for date in (LONG_AGO, self.then)],
            "Q12UsersNowAndThen": [did | {"then": block["timestamp"]} for block in self.blocks],
            "Q13OrganizationManages": [
                {"organization": organization or "none", "then": at} for at in (None, self.then)
            ],
            "Q14FullHistory": [did | {"after": None}],
            "Q15ByStepAndTime": [did | {"from": LONG_AGO, "to": self.then}, did | {"from": self.then, "to": self.then}],
            "Q16TestsOfBatch": [self._batch()],
            "Q17ShippedWithoutQuality": [{}],
            "Q18ActivityAfterEndOfLife": [{"did": device["tokenDID"]} for device in self.devices[:5]],
            "Q19RecycledUnsanitized": [{}],
            "Q20AsOf": [
                did | {"block": block["number"], "hash": block["hash"], "instant": block["timestamp"]}
                for block in self.blocks
            ],
            "Q21WhereAFieldComesFrom": [did],
            "Q22LicenseAtMintAndNow": [did],
            "Q23Meta": [{}],
            "Q24Node": [{"id": id} for id in self.ids()],
            "Q25Nodes": [{"ids": self.ids()}],
            "Q26Refetch": [{"id": self.device["id"], "count": 3, "cursor": None}],
            "Q27BigTokenId": [{"token": self.device["tokenId"]}, {"token": 2**256 - 1}],
            "Q28Cached": [{"address": self.device["address"] or NOBODY}],
            "Q29Resume": [did | {"after": None}],
            "Q30Abuse": [{}],
        }

    def ids(self) -> list[str]:
        """Returns an id of each type, ids of missing things, and texts that are no id."""
        device = self.device
        things = (
            device,
            device["manufacturer"],
            device["hardwareLicense"],
            *device["authorizedUsers"]["nodes"],
            *device["history"]["nodes"],
        )
        return [*(thing["id"] for thing in things if thing), "", "nonsense", device["id"][:-2], "é" * 9]

    def _each_key(self) -> Json:
        device = self.device
        return {
            "id": device["id"],
            "did": device["tokenDID"],
            "token": device["tokenId"],
            "address": device["address"] or NOBODY,
            "former": device["addresses"][-1]["address"] if device["addresses"] else NOBODY,
            "imei": device["imei"]["value"] if device["imei"] else "none",
            "eui": device["devEUI"] or "none",
            "serial": device["serialNumber"] or "none",
            "maker": (device["manufacturer"] or {"tokenId": "0"})["tokenId"],
        }

    def _any_case(self) -> Json:
        address = self.device["address"] or NOBODY
        return {"lower": address.lower(), "upper": "0x" + address[2:].upper(), "checksum": address}

    def _batch(self) -> Json:
        mints = [device["mint"]["transactionHash"] for device in self.devices if device["mint"]]
        batch = _most_common(mints) or "0x" + "00" * 32
        makers = [
            device["manufacturer"]["tokenId"]
            for device in self.devices
            if device["manufacturer"] and device["mint"] and device["mint"]["transactionHash"] == batch
        ]
        return {"maker": next(iter(makers), "0"), "mintTransaction": batch, "after": None}


def richest(devices: list[Json]) -> Json:
    """Returns the device with the most data; the first of several."""
    return max(
        devices,
        key=lambda device: (
            sum(bool(device[key]) for key in ("address", "imei", "serialNumber", "hardwareLicense")),
            min(len(device["addresses"]), 2),
            bool(device["authorizedUsers"]["nodes"]),
            device["history"]["totalCount"],
        ),
    )


async def _devices(ask: Ask) -> list[Json]:
    devices: list[Json] = []
    page: Json = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        page = (await ask(DEVICES, after=page["pageInfo"]["endCursor"]))["devices"]
        devices += page["nodes"]
    return devices


async def _blocks(ask: Ask, devices: list[Json]) -> list[Json]:
    """Returns the blocks with events of the richest device, and the newest block."""
    device = (await ask(BLOCKS, id=richest(devices)["id"]))["device"]
    blocks = [event["block"] for event in device["history"]["nodes"]] + [device["asOf"]]
    return list({block["hash"]: block for block in blocks}.values())


async def _cursors(ask: Ask, devices: list[Json]) -> list[str]:
    """Returns the cursors of the richest owner's devices: the first, one in the middle, the last."""
    owner = _most_common(device["owner"] for device in devices) or NOBODY
    page = (await ask(OPERATIONS["Q02NextPages"], owner=owner, after=None))["devices"]
    cursors = [edge["cursor"] for edge in page["edges"]]
    return [cursors[index] for index in sorted({0, len(cursors) // 2, len(cursors) - 1}) if 0 <= index < len(cursors)]


def _most_common(values: Any) -> Any:
    """Returns the most frequent value that is not None; the first of several."""
    return next((value for value, _ in Counter(value for value in values if value is not None).most_common(1)), None)
