"""Credentials: they are signed, say what GraphQL says, and are revoked with the device."""

import asyncio
import copy
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from openvc import OpenvcError
from openvc.status.bitstring import decode_bitstring, get_status_bit

from api.app import create_app
from api.credentials.command import run_keys
from api.credentials.keys import BEGIN, EXTRA, base58, load_keys, new_key
from api.credentials.status_list import SIZE
from api.settings import Settings
from schema.program.settings import SettingsError
from tests.support.api.asking import asking
from tests.support.api.hostile_register import DID as HOSTILE_DID
from tests.support.api.hostile_register import build_hostile_register
from tests.support.api.server import CLIENT, serving, with_one_device
from tests.support.api.verifying import BASE_URL, ISSUER, VC, VC_JWT, Verifier
from tests.support.databases import KINDS, Databases, Kind
from tests.support.fleet import Fleet
from tests.support.fleet.records import Device
from tests.support.index.fleet import did

KEY = new_key()


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> str:
    return fleet_database(request.param)


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url, base_url=BASE_URL, signing_key=KEY)) as address:
        yield address


@pytest.fixture(scope="module")
def verifier(address: str) -> Verifier:
    return Verifier(address)


@pytest.fixture(scope="module")
def small_url(databases: Databases) -> str:
    return with_one_device(databases.new("sqlite"))


def one(fleet: Fleet, condition: Callable[[Device], object]) -> Device:
    return next(device for device in fleet.world.devices.values() if condition(device))


def in_service(fleet: Fleet) -> str:
    return did(fleet, one(fleet, lambda device: device.firmware_updated_at and device.resets and device.owner).token)


def test_a_credential_is_valid_and_has_what_graphql_has(verifier: Verifier, fleet: Fleet, database_url: str) -> None:
    device = in_service(fleet)
    credential = verifier.credential(device)
    assert verifier.verify(credential).issuer == ISSUER
    subject = credential["credentialSubject"]
    query = """query ($did: String!) { device(by: {tokenDID: $did}) {
      serialNumber address initialFirmware firmware { version } imei { value } manufacturer { name }
      firmwareUpdates { totalCount } endOfLife { status } asOf { hash } } }"""
    with asking(database_url) as api:
        answer = asyncio.run(api.ask(query, did=device))["device"]
    assert subject["id"] == device
    for name, value in answer.items():
        if isinstance(value, dict):
            assert {key: subject[name][key] for key in value} == value
        else:
            assert subject.get(name) == value
    period = [datetime.fromisoformat(credential[name]) for name in ("validFrom", "validUntil")]
    assert period[1] - period[0] == timedelta(days=1)


def test_its_evidence_is_the_bundle(address: str, verifier: Verifier, fleet: Fleet) -> None:
    credential = verifier.credential(in_service(fleet))
    (evidence,) = credential["evidence"]
    bundle = CLIENT.get(evidence["id"].replace(BASE_URL, address)).json()
    assert evidence["hash"] == bundle["manifest"]["hash"]
    assert evidence["block"]["hash"] == bundle["asOf"]["hash"] == credential["credentialSubject"]["asOf"]["hash"]


def values_of(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of each text in a JSON document."""
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, child in children:
        if isinstance(child, str):
            yield (*path, name)
        yield from values_of(child, (*path, name))


def test_one_changed_character_is_found(verifier: Verifier, fleet: Fleet) -> None:
    credential = verifier.credential(in_service(fleet))
    # the verifier reads the context of the document, not its copy in the proof
    paths = [path for path in values_of(credential) if path[:2] != ("proof", "@context")]
    assert len(paths) > 80
    for path in paths:
        changed = copy.deepcopy(credential)
        part: Any = changed
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = part[path[-1]][:-1] + ("1" if part[path[-1]][-1:] != "1" else "2")
        with pytest.raises((OpenvcError, ValueError)):
            verifier.verify(changed)


def test_the_jwt_has_the_same_claims_and_is_signed(address: str, fleet: Fleet, verifier: Verifier) -> None:
    device = in_service(fleet)
    response = CLIENT.get(f"{address}/device/{device}/credential", headers={"accept": VC_JWT})
    assert response.headers["content-type"] == VC_JWT
    keys = jwt.PyJWKSet.from_dict(CLIENT.get(f"{address}/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(response.text)
    claims = jwt.decode(response.text, keys[header["kid"]], algorithms=["EdDSA"], issuer=ISSUER)
    assert (header["typ"], header["cty"]) == ("vc+jwt", "vc")
    assert verifier.resolve(ISSUER).key_by_kid(header["kid"])
    embedded = verifier.credential(device)
    assert claims["credentialSubject"] == embedded["credentialSubject"]
    assert not {"vc", "proof"} & claims.keys()
    signed, signature = response.text.rsplit(".", 1)
    for index in range(0, len(signed), 97):
        changed = signed[:index] + ("A" if signed[index] != "A" else "B") + signed[index + 1 :]
        with pytest.raises(jwt.PyJWTError):
            jwt.decode(f"{changed}.{signature}", keys[header["kid"]], algorithms=["EdDSA"])


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/html", "application/json"),
        ("application/vc", VC),
        ("application/ld+json", "application/ld+json"),
        ("application/vc+jwt, application/vc;q=0.5", VC_JWT),
    ],
)
def test_the_client_chooses_the_format(address: str, fleet: Fleet, accept: str, media_type: str) -> None:
    response = CLIENT.get(f"{address}/device/{in_service(fleet)}/credential", headers={"accept": accept})
    assert (response.headers["content-type"], response.headers["vary"].split(",")[0]) == (media_type, "Accept")
    assert response.headers["cache-control"] == "no-store"


def test_a_burned_device_is_revoked_and_gets_no_credential(verifier: Verifier, address: str, fleet: Fleet) -> None:
    device = one(fleet, lambda device: device.burned)
    response = CLIENT.get(f"{address}/device/{did(fleet, device.token)}/credential")
    assert response.status_code == 410
    assert response.json()["error"].endswith("was burned: a burned device gets no credential.")
    credential = verifier.credential(in_service(fleet))
    status_list = verifier.status_list(credential["credentialStatus"]["statusListCredential"])
    bits = decode_bitstring(status_list["credentialSubject"]["encodedList"])
    assert len(bits) * 8 == SIZE
    assert {token for token in range(SIZE) if not get_status_bit(bits, token)} == {
        token for token, device in fleet.world.devices.items() if not device.burned
    }


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/device/SN-7/credential", 400, '"SN-7" is not the DID of a device'),
        (f"/device/did:erc721:1:0x{'ab' * 20}:1/credential", 404, "There is no device did:erc721:1:0x"),
        (f"/device/did:erc721:1:0x{'ab' * 20}:{2**256}/credential", 400, "is not the DID of a device"),
        (f"/device/did:erc721:1:0x{'ab' * 20}:1/credential?asOf=1", 400, 'There is no parameter "asOf" here'),
        (f"/credentials/status/1/0x{'ab' * 20}/0", 404, "Chain 1 is not indexed here."),
        (f"/credentials/status/31337/0x{'ab' * 20}/{2**239}", 404, "There is no status list at"),
        ("/credentials/status/31337/contract/0", 404, "There is no status list at"),
    ],
)
def test_what_is_not_there_is_explained(address: str, path: str, status: int, message: str) -> None:
    response = CLIENT.get(f"{address}{path}")
    assert response.status_code == status
    assert message in response.json()["error"]


def test_another_format_is_refused(address: str, fleet: Fleet) -> None:
    response = CLIENT.get(f"{address}/device/{in_service(fleet)}/credential", headers={"accept": "image/png"})
    assert response.status_code == 406
    assert "this service answers application/vc or application/vc+jwt" in response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        f"/device/did:erc721:31337:0x{'ab' * 20}:7/credential",
        f"/credentials/status/31337/0x{'ab' * 20}/0",
        "/credentials/context.json",
        "/.well-known/did.json",
        "/.well-known/jwks.json",
    ],
)
def test_without_a_key_nothing_is_signed(small_url: str, path: str) -> None:
    with serving(Settings(database_url=small_url)) as address:
        response = CLIENT.get(f"{address}{path}")
    assert response.status_code == 404
    assert "its operator has set no SIGNING_KEY" in response.json()["error"]


def test_rates_apply(small_url: str) -> None:
    settings = Settings(database_url=small_url, base_url=BASE_URL, signing_key=KEY, request_rate="2/hour")
    with serving(settings) as address:
        responses = [CLIENT.get(f"{address}/.well-known/did.json") for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert int(responses[2].headers["retry-after"]) > 0
        assert CLIENT.get(f"{address}/1.0/identifiers/did:erc721:1:0x{'ab' * 20}:1").status_code == 429


def test_hostile_texts_are_signed_as_they_are(databases: Databases) -> None:
    url = databases.new("sqlite")
    build_hostile_register(url)
    with serving(Settings(database_url=url, base_url=BASE_URL, signing_key=KEY)) as address:
        verifier = Verifier(address)
        credential = verifier.credential(HOSTILE_DID)
        assert verifier.verify(credential).issuer == ISSUER
        assert "<script>" in credential["credentialSubject"]["serialNumber"]


def test_further_keys_are_published_and_the_first_one_signs(small_url: str) -> None:
    old, new = KEY, new_key()
    with serving(Settings(database_url=small_url, base_url=BASE_URL, signing_key=old)) as address:
        device = CLIENT.get(f"{address}/graphql", params={"query": "{devices{nodes{tokenDID}}}"}).json()
        token = device["data"]["devices"]["nodes"][0]["tokenDID"]
        before = Verifier(address).credential(token)
    with serving(Settings(database_url=small_url, base_url=BASE_URL, signing_key=new + old)) as address:
        verifier = Verifier(address)
        after = verifier.credential(token)
        assert verifier.verify(before)
        assert verifier.verify(after)
        assert before["proof"]["verificationMethod"] != after["proof"]["verificationMethod"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("absent.pem", 'SIGNING_KEY is "absent.pem": it cannot be read: No such file or directory. Make one:'),
        ("-----BEGIN nothing", "SIGNING_KEY is PEM: it is no private key in PEM (PKCS #8). Make one:"),
        (KEY[:80], "SIGNING_KEY is PEM: it is no private key in PEM"),
        (KEY.replace("PRIVATE", "PUBLIC"), "SIGNING_KEY is PEM: it is no private key in PEM"),
    ],
    ids=["absent", "no key", "cut", "public"],  # a key of its own for each process is no name
)
def test_a_malformed_key_is_refused_without_being_shown(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match="SIGNING_KEY") as raised:
        load_keys(text, ISSUER)
    assert message in str(raised.value)
    assert KEY.splitlines()[1] not in str(raised.value)


def test_a_key_of_another_algorithm_is_refused() -> None:
    pem = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(SettingsError, match="is not an Ed25519 key"):
        load_keys(KEY + pem.decode(), ISSUER)


def test_a_file_that_is_no_text_or_empty_is_refused(tmp_path: Path) -> None:
    for content, message in ((b"\xff", "it is not text"), (b"", "it is empty")):
        (tmp_path / "key.pem").write_bytes(content)
        with pytest.raises(SettingsError, match=message):
            load_keys(str(tmp_path / "key.pem"), ISSUER)


def test_a_key_needs_base_url(small_url: str) -> None:
    with pytest.raises(SettingsError, match="SIGNING_KEY is set, and BASE_URL is not"):
        create_app(Settings(database_url=small_url, signing_key=KEY))


def test_keys_new_writes_a_key_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    assert run_keys(["new", str(path)]) == 0
    assert f"set SIGNING_KEY={path}" in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith(BEGIN)
    (key,) = load_keys(str(path), ISSUER)
    assert len(key.public) == 32
    for file, message in (
        (path, "exists, and is not overwritten"),
        (tmp_path / "none" / "key.pem", "cannot be written: No such file or directory"),
    ):
        assert run_keys(["new", str(file)]) == 2
        assert message in capsys.readouterr().err


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(SettingsError, match="need packages") as raised:
        load_keys(KEY, ISSUER)
    assert EXTRA in str(raised.value)


def test_a_multibase_is_base58() -> None:
    # an example of the draft "The Base58 Encoding Scheme"
    assert base58(bytes.fromhex("0000287fb4cd")) == "z11233QC4"
