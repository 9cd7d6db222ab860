"""DID resolution: what the chain says about a device, now and then."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api.settings import Settings
from tests.support.api.server import CLIENT, serving
from tests.support.api.verifying import BASE_URL
from tests.support.databases import KINDS, Kind
from tests.support.fleet import Fleet
from tests.support.fleet.records import Device
from tests.support.index.fleet import did, iso

RESOLUTION = "application/did-resolution"
UNKNOWN = f"did:erc721:31337:0x{'ab' * 20}:1"


@pytest.fixture(scope="module", params=KINDS)
def address(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> Iterator[str]:
    with serving(Settings(database_url=fleet_database(request.param), base_url=BASE_URL)) as address:
        yield address


def resolve(address: str, did: str, accept: str = RESOLUTION, **options: Any) -> httpx.Response:
    return CLIENT.get(f"{address}/1.0/identifiers/{quote(did, safe=':')}", params=options, headers={"accept": accept})


def one(fleet: Fleet, condition: Callable[[Device], object]) -> Device:
    return next(device for device in fleet.world.devices.values() if condition(device))


def test_a_document_names_owner_and_address(address: str, fleet: Fleet) -> None:
    device = one(fleet, lambda device: device.owner and device.end_of_life == "IN_SERVICE")
    id = did(fleet, device.token)
    response = resolve(address, id)
    assert (response.status_code, response.headers["content-type"]) == (200, RESOLUTION)
    result = response.json()
    document, metadata = result["didDocument"], result["didDocumentMetadata"]
    assert document["id"] == id
    assert document["controller"].lower() == f"did:pkh:eip155:31337:{device.owner}".lower()
    (method,) = document["verificationMethod"]
    assert method["type"] == "EcdsaSecp256k1RecoveryMethod2020"
    assert method["blockchainAccountId"].lower() == f"eip155:31337:{device.address}".lower()
    assert document["authentication"] == [method["id"]]
    assert metadata["created"] == iso(device.minted_at)
    assert metadata["updated"] == iso(device.history[-1].record_time)
    assert metadata["deactivated"] is False
    assert [service["serviceEndpoint"] for service in document["service"]] == [
        f"{BASE_URL}/device/{id}",
        f"{BASE_URL}/device/{id}/credential",
        f"{BASE_URL}/devices/{id}/bundle.json",
    ]


def test_another_spelling_of_a_did_resolves_as_it_was_requested(address: str, fleet: Fleet) -> None:
    result = resolve(address, did(fleet, 1).lower()).json()
    assert result["didDocument"]["id"] == did(fleet, 1).lower()
    assert result["didDocumentMetadata"]["canonicalId"] == did(fleet, 1)


def test_a_version_is_a_point_in_time(address: str, fleet: Fleet) -> None:
    device = one(fleet, lambda device: len(set(device.owners)) > 1)
    id = did(fleet, device.token)
    then = resolve(address, id, versionTime=iso(device.minted_at)).json()
    assert then["didDocument"]["controller"].lower().endswith(device.owners[0].lower())
    again = resolve(address, id, versionId=then["didDocumentMetadata"]["versionId"]).json()
    assert again == then
    now = resolve(address, id).json()
    assert resolve(address, id, versionId=now["didDocumentMetadata"]["versionId"]).json() == now
    assert now["didDocument"] != then["didDocument"]
    assert resolve(address, id, versionTime="2000-01-01T00:00:00Z").status_code == 404


def test_a_burned_device_is_deactivated(address: str, fleet: Fleet) -> None:
    device = one(fleet, lambda device: device.burned)
    response = resolve(address, did(fleet, device.token))
    assert response.status_code == 410
    result = response.json()
    assert result["didDocumentMetadata"]["deactivated"] is True
    assert result["didDocument"].keys() == {"@context", "id"}
    before = resolve(address, did(fleet, device.token), versionTime=iso(device.minted_at))
    assert before.status_code == 200
    assert before.json()["didDocument"]["controller"]


@pytest.mark.parametrize(
    ("accept", "media_type", "is_document"),
    [
        ("application/did", "application/did", True),
        ("application/did-resolution", RESOLUTION, False),
        ('application/ld+json;profile="https://w3id.org/did-resolution"', "application/ld+json", False),
        ("*/*", "application/json", False),
        ("text/html", "application/json", False),
    ],
)
def test_the_client_chooses_the_format(
    address: str, fleet: Fleet, accept: str, media_type: str, is_document: bool
) -> None:
    response = resolve(address, did(fleet, 1), accept)
    assert response.headers["content-type"] == media_type
    assert ("didDocument" in response.json()) is not is_document


@pytest.mark.parametrize(
    ("id", "options", "status", "error"),
    [
        (UNKNOWN, {}, 404, "notFound"),
        (UNKNOWN.replace("31337", "1"), {}, 404, "notFound"),
        ("did:erc721:1:0x12:1", {}, 400, "invalidDid"),
        ("did:erc721:99999999999999999999:0x12:1", {}, 400, "invalidDid"),
        ("SN-7", {}, 400, "invalidDid"),
        ("", {}, 400, "invalidDid"),
        ("did:web:example.org", {}, 501, "methodNotSupported"),
        (UNKNOWN, {"versionTime": "soon"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionTime": "12"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionTime": "2999-01-01T00:00:00Z"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionId": "first"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionId": f"0x{'00' * 32}"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionId": "1", "versionTime": "2025-01-01T00:00:00Z"}, 422, "invalidOptions"),
        (UNKNOWN, {"versionId": ["1", "2"]}, 422, "invalidOptions"),
        (UNKNOWN, {"hl": "zQm"}, 422, "invalidOptions"),
    ],
)
def test_a_did_that_does_not_resolve_is_explained(
    address: str, id: str, options: dict[str, Any], status: int, error: str
) -> None:
    response = resolve(address, id, **options)
    assert response.status_code == status
    result = response.json()
    assert result["didDocument"] is None
    assert result["didResolutionMetadata"]["error"] == error
    assert result["didResolutionMetadata"]["message"]


def test_the_address_above_all_dids_says_what_it_takes(address: str) -> None:
    message = CLIENT.get(f"{address}/1.0/identifiers").json()["didResolutionMetadata"]["message"]
    assert message.startswith("Name the DID of a device: /1.0/identifiers/did:erc721:")


def test_another_format_is_refused(address: str) -> None:
    response = resolve(address, UNKNOWN, "image/png")
    assert response.status_code == 406
    assert response.json()["didResolutionMetadata"]["error"] == "representationNotSupported"
