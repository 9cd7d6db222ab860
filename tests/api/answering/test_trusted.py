"""Trusted documents: only the documents of a manifest are executed."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from api.answering.trusted import load_trusted
from api.settings import Settings
from schema.program.settings import SettingsError
from tests.support.api.asking import SCHEMA
from tests.support.api.live import acknowledged, streamed
from tests.support.api.server import CLIENT, code, post, serving, with_one_device
from tests.support.certindex import certindex_api

QUERY = "query Device($id: BigInt!) { device(by: {tokenId: $id}) { serialNumber } }"
ANSWER = {"device": {"serialNumber": "SN-7"}}
HASH = sha256(QUERY.encode()).hexdigest()
VARIABLES = {"variables": {"id": "7"}}
PERSISTED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("trusted")
    manifest = folder / "documents.json"
    manifest.write_text(json.dumps({"device-7": QUERY, HASH: QUERY}))
    database_url = with_one_device(f"sqlite:///{folder / 'a.db'}")
    with serving(Settings(database_url=database_url, trusted_documents=str(manifest))) as address:
        yield address


@pytest.mark.parametrize(
    "named",
    [
        {"documentId": "device-7"},
        {"documentId": HASH},
        {"documentId": f"sha256:{HASH}"},
        {"documentId": "device-7", "query": QUERY},
        PERSISTED,
        PERSISTED | {"query": QUERY},
    ],
)
def test_a_trusted_document_is_executed_by_its_id(address: str, named: dict[str, Any]) -> None:
    answer = post(f"{address}/graphql", named | VARIABLES)
    assert (answer.status_code, answer.json()["data"]) == (200, ANSWER)


def test_an_id_may_be_in_the_url(address: str) -> None:
    parameters = {"documentId": "device-7", "variables": '{"id": 7}'}
    assert CLIENT.get(f"{address}/graphql", params=parameters).json()["data"] == ANSWER


OTHER = "{ devices { totalCount } }"
UNKNOWN = {"persistedQuery": {"version": 1, "sha256Hash": sha256(OTHER.encode()).hexdigest()}}


@pytest.mark.parametrize(
    ("body", "told_code", "words"),
    [
        ({"query": OTHER}, "BAD_REQUEST", "documentId"),
        ({"query": QUERY}, "BAD_REQUEST", "documentId"),
        ({"query": "{ __schema { types { name } } }"}, "BAD_REQUEST", "documentId"),
        ({"documentId": "device-8"}, "PERSISTED_QUERY_NOT_FOUND", "device-8"),
        ({"extensions": UNKNOWN}, "PERSISTED_QUERY_NOT_FOUND", "not the id of a trusted document"),
        ({"extensions": UNKNOWN, "query": OTHER}, "PERSISTED_QUERY_NOT_FOUND", "not the id of a trusted document"),
        ({"documentId": "device-7", "query": OTHER}, "BAD_USER_INPUT", "device-7"),
        ({"documentId": 7}, "BAD_REQUEST", "documentId"),
    ],
)
def test_nothing_else_is_executed(address: str, body: dict[str, Any], told_code: str, words: str) -> None:
    refused = post(f"{address}/graphql", body | VARIABLES)
    assert (refused.status_code, code(refused)) == (400, told_code)
    assert words in refused.json()["errors"][0]["message"]


async def test_nothing_else_is_executed_over_websockets_and_streams(address: str) -> None:
    async with acknowledged(address) as socket:
        await socket.subscribe("a", OTHER)
        assert (await socket.receive("a"))["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        await socket.send(id="b", type="subscribe", payload={"documentId": "device-7", **VARIABLES})
        assert (await socket.receive("b"))["payload"]["data"] == ANSWER
    async with streamed(address, OTHER) as stream:
        name, answer = await stream.event()
        assert answer is not None
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", "BAD_REQUEST")


def test_the_page_for_browsers_is_not_offered(address: str) -> None:
    assert CLIENT.get(f"{address}/graphql", headers={"accept": "text/html"}).status_code == 406


def test_an_id_is_refused_where_there_are_no_trusted_documents(sqlite_url: str) -> None:
    with serving(Settings(database_url=with_one_device(sqlite_url))) as address:
        refused = post(f"{address}/graphql", {"documentId": "device-7"})
        assert (refused.status_code, code(refused)) == (400, "PERSISTED_QUERY_NOT_FOUND")
        assert post(f"{address}/graphql", {"documentId": "x", "query": QUERY, **VARIABLES}).json()["data"] == ANSWER


def test_a_manifest_of_apollo_and_a_folder_of_manifests_are_read(tmp_path: Path) -> None:
    operations = [{"id": HASH, "name": "Device", "type": "query", "body": QUERY}]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    (tmp_path / "apollo.json").write_text(json.dumps(manifest))
    (tmp_path / "relay.json").write_text(json.dumps({"0123abcd": OTHER, HASH: QUERY}))
    (tmp_path / "README.md").write_text("not a manifest")
    assert load_trusted(tmp_path, SCHEMA._schema, {})._texts == {HASH: QUERY, "0123abcd": OTHER}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "a.json is not JSON"),
        ("[]", "lists no document"),
        ("[1]", "a.json is not a JSON object"),
        ("5", "a.json is not a JSON object"),
        ("{}", "lists no document"),
        ('{"one": 5}', 'a.json, entry "one": its document is not a string'),
        ('{"one": "{ nothing }"}', "a.json, entry \"one\": Cannot query field 'nothing'"),
        ('{"one": "{"}', 'a.json, entry "one": Syntax Error'),
        ('{"one": "{ __typename }", "one": "{ a: __typename }"}', 'entry "one": another document has the same id'),
        (json.dumps({"ab" * 32: OTHER}), f"that of the document is {sha256(OTHER.encode()).hexdigest()}"),
        ('{"format": "apollo-persisted-query-manifest", "operations": [{"body": "{ __typename }"}]}', "operation 0"),
        ('{"format": "apollo-persisted-query-manifest", "operations": [5]}', "operation 0"),
        ('{"format": "apollo-persisted-query-manifest"}', "lists no document"),
    ],
)
def test_an_invalid_manifest_is_refused_naming_the_file_and_the_entry(tmp_path: Path, text: str, words: str) -> None:
    manifest = tmp_path / "a.json"
    manifest.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_trusted(manifest, SCHEMA._schema, {})
    assert words in str(refused.value)
    assert "Example of a manifest: {" in str(refused.value)


def test_a_missing_manifest_ends_the_program_with_status_2(tmp_path: Path) -> None:
    ended = certindex_api(
        TRUSTED_DOCUMENTS=str(tmp_path / "none.json"), DATABASE_URL=f"sqlite:///{tmp_path / 'a.db'}", PORT="0"
    )
    assert ended.returncode == 2
    assert f'TRUSTED_DOCUMENTS is "{tmp_path}/none.json": it cannot be read: No such file' in ended.stderr
    assert "Traceback" not in ended.stderr
