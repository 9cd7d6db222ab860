"""DIMO's SDK for Python, unchanged, with `/query` as its identity API: each of its calls, and what it must return.

Prints a line for each call. Ends with status 1 if one fails, or if the SDK has a call that is not judged.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

from dimo import DIMO
from dimo.permission_decoder import PermissionDecoder

ALICE = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1a1A1A1a1A1a1"
BOB = "0xB0B0b0b0B0B0B0B0b0B0b0b0b0b0b0B0b0b0b0B0"
CAROL = "0xcAcacaCacacACaCACaCaCACAcacAcaCACacAcAcA"
NOBODY = "0x0000000000000000000000000000000000000bad"

FORD = {"make": "Ford", "model": None, "year": 2020}
KIA = {"make": "Kia", "model": None, "year": 2022}
DEVICE = {"tokenId": 9, "address": "0xdEDEDEDEdEdEdEDedEDeDedEdEdeDedEdEDedEdE"}
SYNTHETIC_DEVICE = {"tokenId": 2, "address": "0x5d5d5d5D5D5D5d5d5d5d5D5d5D5D5d5D5D5d5d5D"}
ALL_OF_FORD = {"aftermarketDevice": DEVICE, "syntheticDevice": SYNTHETIC_DEVICE, "definition": FORD}
PRIVILEGE = {"id": 3, "setAt": "2023-11-14T22:15:08Z", "expiresAt": "9999-12-31T23:59:59Z"}
MINT = "{ vehicle(tokenId: 1) { tokenDID mintedAt manufacturer { name } } }"
MINTED = {
    "tokenDID": "did:erc721:137:0xC4c4c4C4C4c4C4c4c4C4c4c4c4c4c4C4c4c4c4C4:1",
    "mintedAt": "2023-11-14T22:13:44Z",
    "manufacturer": {"name": "Maker 1"},
}


def vehicles(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"vehicles": {"nodes": list(nodes)}}


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("query", (MINT,), {"vehicle": MINTED}),
    ("count_dimo_vehicles", (), {"vehicles": {"totalCount": 2}}),
    ("list_vehicle_definitions_per_address", (ALICE, 5), vehicles(ALL_OF_FORD)),
    (
        "list_vehicle_definitions_per_address",
        (BOB.lower(), 5),
        vehicles({"aftermarketDevice": None, "syntheticDevice": None, "definition": KIA}),
    ),
    ("list_vehicle_definitions_per_address", (NOBODY, 5), vehicles()),
    ("mmy_by_owner", (BOB, 5), vehicles({"definition": KIA})),
    (
        "list_token_ids_privileges_by_owner",
        (ALICE, 5, 5),
        vehicles({"tokenId": 1, "privileges": {"nodes": [PRIVILEGE]}}),
    ),
    ("list_token_ids_privileges_by_owner", (BOB, 5, 5), vehicles({"tokenId": 2, "privileges": {"nodes": []}})),
    (
        "list_token_ids_granted_to_dev_by_owner",
        (CAROL, ALICE, 5),
        vehicles(
            {
                "tokenId": 1,
                "definition": {"make": "Ford"},
                "aftermarketDevice": {"manufacturer": {"name": "Maker 1"}},
            }
        ),
    ),
    ("list_token_ids_granted_to_dev_by_owner", (CAROL, BOB, 5), vehicles()),
    ("mmy_by_token_id", (1,), {"vehicle": ALL_OF_FORD}),
    ("mmy_by_token_id", (3,), {"vehicle": None}),
    ("check_vehicle_privileges", (1,), {"vehicle": {"sacds": {"nodes": [{"permissions": "0xc", "grantee": CAROL}]}}}),
    # facts that are in no watched contract
    ("dcn_by_owner", (ALICE, 5), vehicles({"dcn": None})),
    ("rewards_by_owner", (ALICE,), {"rewards": None}),
    ("rewards_history_by_owner", (ALICE, 5), vehicles({"earnings": None})),
]
"""Calls and arguments, and the data of the answer. Vehicle 1 is ALICE's, 2 was sold to BOB, and 3 is burned."""

MISSING = {("mmy_by_token_id", (3,))}
"""Calls whose answer has an error: NOT_FOUND."""


def main() -> int:
    """Judges all calls and returns the exit status."""
    dimo = DIMO("Production")
    dimo.urls = {**dimo.urls, "Identity": os.environ["JUDGED_URL"]}
    failures = 0
    for name, mistake in _judged(dimo):
        print(f"FAIL {name}: {mistake}" if mistake else f"ok  {name}")
        failures += bool(mistake)
    return int(failures > 0)


def _judged(dimo: DIMO) -> Iterator[tuple[str, str]]:
    """Yields each check with what is wrong, an empty text if it passed."""
    for name, arguments, data in CALLS:
        answer = getattr(dimo.identity, name)(*arguments)
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        expected = ["NOT_FOUND"] if (name, arguments) in MISSING else []
        passed = (answer["data"], codes) == (data, expected)
        yield f"{name}{arguments}", "" if passed else f"{answer} instead of {data} with errors {expected}"
    reasons = dimo.identity.rewards_by_owner(ALICE)["extensions"]["notIndexed"]
    yield "a value that is not indexed has a reason", "" if "rewards" in reasons else str(reasons)
    decoded = PermissionDecoder.decode_permission_bits(_permissions(dimo))
    yield "the SDK decodes the permissions", "" if decoded == [1] else str(decoded)
    calls = {name for name in vars(type(dimo.identity)) if not name.startswith("_")}
    yield "all calls of the SDK are judged", str(calls - {name for name, *_ in CALLS} or "")


def _permissions(dimo: DIMO) -> str:
    permissions: str = dimo.identity.check_vehicle_privileges(1)["data"]["vehicle"]["sacds"]["nodes"][0]["permissions"]
    return permissions


if __name__ == "__main__":
    sys.exit(main())
