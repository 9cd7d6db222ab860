"""The offline check: a bundle of a real device passes, and every change to it is refused with the reason."""

import json
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.check.__main__ import report
from indexer.check.bundle import Failed
from schema.abi.keccak import keccak256
from schema.bundle.document import Bundle, canonical, json_schema, manifest_of
from schema.bundle.subjects import SUBJECTS
from schema.bundle.trust import TRUST
from schema.tables.kinds import LIFECYCLE, SPANS
from schema.tables.tables import Chain
from schema.vocabulary import FailureCause
from tests.support.certindex import Certindex
from tests.support.chain.devchain import REPOSITORY, Anvil
from tests.support.checking import check, resealed
from tests.support.index.whole_life import WholeLife, whole_life

Document = dict[str, Any]
Change = Callable[[Document], None]


@dataclass
class Case(WholeLife):
    @property
    def document(self) -> Document:
        document: Document = json.loads(self.data)
        return document


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with whole_life(tmp_path_factory.mktemp("bundle")) as life:
        yield Case(life.chain, life.url, life.data)


# What passes


def test_a_bundle_of_a_whole_life_passes_and_says_what_it_cannot_establish(case: Case) -> None:
    checked = check(case.data, {})
    assert (checked.did, checked.events) == (case.document["device"]["did"], len(case.document["events"]))
    assert checked.events >= 17
    text = report(checked)
    assert text.startswith(f"PASS {checked.did}")
    assert "not that these blocks are canonical" in text
    assert "no other event about the device" in text
    assert f"are the right ones to watch: certificate {case.document['device']['contract']}\n" in text
    assert "established: the events are read by the profile device_certificate of this release" in text


def test_with_block_hashes_of_the_readers_own_the_blocks_are_established(case: Case) -> None:
    trusted = {block["number"]: bytes.fromhex(block["hash"][2:]) for block in case.document["blocks"]}
    checked = check(case.data, trusted)
    assert (len(checked.trusted), checked.untrusted) == (len(trusted), [])
    assert "canonical" not in report(checked)
    number = min(trusted)
    checked = check(case.data, {number: trusted[number], 999: bytes(32)})
    assert (checked.trusted, checked.unused) == ([number], [999])
    assert "not used: the hash of block 999" in report(checked)


def test_a_block_with_another_hash_than_the_trusted_one_fails(case: Case) -> None:
    number = case.document["blocks"][3]["number"]
    with pytest.raises(Failed, match=f"block {number}: its hash is .* it is not a block of that chain"):
        check(case.data, {number: bytes(32)})


def test_a_bundle_passes_however_its_json_is_laid_out(case: Case) -> None:
    assert check(json.dumps(case.document, indent=4).encode(), {}) == check(case.data, {})
    assert check(json.dumps(case.document, sort_keys=True, ensure_ascii=True).encode(), {}) == check(case.data, {})


# What does not


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_byte_can_be_flipped(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(case.data) - 1))
    flipped = bytearray(case.data)
    flipped[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Failed):
        check(bytes(flipped), {})


CLAIMS = (
    r"asOf\.(hash|timestamp|number)",
    r"contracts\.\d+\.(startBlock|whole)",
    r"events\.\d+\.transactionHash",
    r"profile\.text",
)
"""What the indexer tells and the evidence does not hold: named in the trust statement, and by the check's report."""


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_value_can_be_changed_by_someone_who_makes_the_manifest_anew(case: Case, data: st.DataObject) -> None:
    document = case.document
    paths = [path for path in _leaves(document) if path[0] != "manifest" and not _is_claim(path)]
    path = data.draw(st.sampled_from(paths), label="path")
    parent = _parent(document, path)
    parent[path[-1]] = data.draw(_others(parent[path[-1]]), label="value")
    with pytest.raises(Failed) as failed:
        check(resealed(document), {})
    assert "manifest" not in str(failed.value), "the reason must be a deeper one"


def _leaves(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _leaves(value, (*path, key))
    else:
        yield path


def _is_claim(path: tuple[Any, ...]) -> bool:
    return any(re.fullmatch(claim, ".".join(map(str, path))) for claim in CLAIMS)


def _parent(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _others(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the kind that the format wants there, and of other kinds."""
    match value:
        case bool():
            return st.sampled_from([not value, None, int(value)])
        case int():
            return st.sampled_from([value + 1, abs(value - 1) if value != 1 else 7, value + 2**32, None, str(value)])
        case str() if value.startswith("0x"):
            flipped = value[:-1] + ("1" if value[-1] != "1" else "2") if len(value) > 2 else "0x00"
            return st.sampled_from([flipped, value + "00", value[:-2] if len(value) > 2 else "0x01", value.upper()])
        case str():
            return st.sampled_from([f"{value}1", f"1{value}", "" if value else "x", f"{value}\u00e9", None])
        case _:
            return st.sampled_from([0, 1, "", "0x", "1:1", True])


def _events(name: str, document: Document) -> Document:
    """Returns the first event of that kind."""
    result: Document = next(event for event in document["events"] if event["reading"]["kind"] == name)
    return result


def _remove(name: str) -> Change:
    def change(document: Document) -> None:
        event = _events(name, document)
        document["events"].remove(event)
        place = (event["blockNumber"], event["transactionIndex"])
        if not any((other["blockNumber"], other["transactionIndex"]) == place for other in document["events"]):
            document["receipts"] = [
                item for item in document["receipts"] if (item["blockNumber"], item["transactionIndex"]) != place
            ]
        numbers = {other["blockNumber"] for other in document["events"]}
        document["blocks"] = [block for block in document["blocks"] if block["number"] in numbers]

    return change


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DEVICE_MINTED", "is about the device, and the bundle leaves it out"),
        ("DEVICE_TRANSFERRED", "is about the device, and the bundle leaves it out"),
        ("TEST_RECORDED", "state, device_activity: "),
        ("DEVICE_PROVISIONED", "state, device_activity: "),
        ("FIRMWARE_UPDATED", "state, device_activity: "),
        ("FACTORY_RESET", "state, device_activity: "),
        ("USER_AUTHORIZED", "state, authorization: "),
        ("USER_REVOKED", "state, authorization, row 1: "),
        ("DEVICE_ATTRIBUTE_SET", "state, device_activity: "),
        ("END_OF_LIFE_RECORDED", "state, device_activity: |its reading says flags"),
        ("MANUFACTURER_LICENSED", "its reading says flags|state, manufacturers"),
        ("MANUFACTURER_LICENSE_REVOKED", "state, manufacturers"),
        ("HARDWARE_LICENSED", "its reading says flags|state, hardware_licenses|state, manufacturers"),
    ],
)
def test_an_event_that_is_taken_out_is_missed(case: Case, name: str, reason: str) -> None:
    document = case.document
    _remove(name)(document)
    with pytest.raises(Failed, match=reason):
        check(resealed(document), {})
    assert len(resealed(document)) < len(case.data)


def test_every_event_matters(case: Case) -> None:
    for number in range(len(case.document["events"])):
        document = case.document
        del document["events"][number]
        with pytest.raises(Failed):
            check(resealed(document), {})


def _twice(document: Document) -> None:
    document["events"].insert(3, deepcopy(document["events"][3]))


def _of_the_other_device(document: Document) -> None:
    mint = _events("DEVICE_MINTED", document)
    other = deepcopy(mint) | {"logIndex": mint["logIndex"] + 2}
    document["events"].insert(document["events"].index(mint) + 1, other)


def _unordered(document: Document) -> None:
    document["events"][2], document["events"][4] = document["events"][4], document["events"][2]


def _unused_block(document: Document) -> None:
    document["events"] = [event for event in document["events"] if event["reading"]["kind"] != "FACTORY_RESET"]
    numbers = {event["blockNumber"] for event in document["events"]}
    reset = next(block["number"] for block in document["blocks"] if block["number"] not in numbers)
    document["receipts"] = [receipt for receipt in document["receipts"] if receipt["blockNumber"] != reset]


def _receipt_of_another(document: Document) -> None:
    document["receipts"][0]["nodes"] = document["receipts"][1]["nodes"]


def _node_too_many(document: Document) -> None:
    document["receipts"][0]["nodes"].append(document["receipts"][0]["nodes"][0])


def _no_nodes(document: Document) -> None:
    document["receipts"][0]["nodes"] = []


def _header_of_another(document: Document) -> None:
    document["blocks"][0] |= {name: document["blocks"][1][name] for name in ("hash", "header")}


def _made_up_header(document: Document) -> None:
    block = document["blocks"][2]
    header = bytearray.fromhex(block["header"][2:])
    header[120] ^= 1  # in the state root
    block |= {"header": f"0x{header.hex()}", "hash": f"0x{keccak256(bytes(header)).hex()}"}


def _no_header(document: Document) -> None:
    document["blocks"][1]["header"] = None


def _line_break_after_header(document: Document) -> None:
    document["blocks"][0]["header"] += "\n"


def _line_break_after_token_id(document: Document) -> None:
    document["device"]["tokenId"] += "\n"


def _another_device(document: Document) -> None:
    did = document["device"]["did"].removesuffix(":1") + ":2"
    document["device"] |= {"tokenId": "2", "did": did}


def _unknown_device(document: Document) -> None:
    did = document["device"]["did"].removesuffix(":1") + ":77"
    document["device"] |= {"tokenId": "77", "did": did}


def _other_rule(document: Document) -> None:
    text = document["profile"]["text"]
    document["profile"]["text"] = text.replace('serial_number = "serialNumber"', 'serial_number = "imei"')
    assert document["profile"]["text"] != text


def _broken_profile(document: Document) -> None:
    document["profile"]["text"] = "name = 'device-certificate'"


def _unwatched(document: Document) -> None:
    document["contracts"][0]["address"] = "0x" + "11" * 20


def _watched_twice(document: Document) -> None:
    document["contracts"].append({**document["contracts"][0], "whole": False})


def _no_row(document: Document) -> None:
    document["state"]["device"]["firmware_update"].pop()


def _row_more(document: Document) -> None:
    rows = document["state"]["device"]["factory_reset"]
    rows.append(deepcopy(rows[0]))


def _no_table(document: Document) -> None:
    del document["state"]["device"]["transfer"]


def _column_more(document: Document) -> None:
    document["state"]["device"]["device_version"][0]["verified_by"] = "me"


def _true_for_one(document: Document) -> None:
    document["state"]["device"]["test_result"][0]["passed"] = 1


def _no_manufacturer(document: Document) -> None:
    document["state"]["manufacturers"] = []


def _kind_word(document: Document) -> None:
    _events("DEVICE_PROVISIONED", document)["reading"]["kind"] = "DEVICE_CLAIMED"


def _no_flag(document: Document) -> None:
    flagged = next(event for event in document["events"] if event["reading"]["flags"])
    flagged["reading"]["flags"] = []


def _of_the_past(document: Document) -> None:
    document["asOf"]["number"] = 3


def _other_words_of_trust(document: Document) -> None:
    document["trust"] += "\nEverything is proven."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_twice, "events come twice, or out of order"),
        (_of_the_other_device, "its topics is .*, the log in the receipt has"),
        (_unordered, "events come twice, or out of order"),
        (_unused_block, "block [0-9]+: it holds no event"),
        (_receipt_of_another, "receipt 0 of block [0-9]+: node 1 of [0-9]+ has the hash"),
        (_node_too_many, "receipt 0 of block [0-9]+: .* (too many|has the hash)"),
        (_no_nodes, "receipt 0 of block [0-9]+: the 0 nodes end before the value"),
        (_header_of_another, "block [0-9]+: its header is of block"),
        (_no_header, "it was not verified yet when the bundle was made"),
        (_line_break_after_header, "the file is no bundle of a known format: .*regex"),
        (_line_break_after_token_id, "the file is no bundle of a known format: .*regex"),
        (_another_device, "is about the device, and the bundle leaves it out|no event is about"),
        (_unknown_device, "no event is about the device"),
        (_other_rule, "its reading says fields"),
        (_broken_profile, "the profile cannot be used: "),
        (_unwatched, "is not watched"),
        (_watched_twice, "the contracts: one address comes twice"),
        (_no_row, "state, firmware_update: it has 1 rows, the events make 2"),
        (_row_more, "state, factory_reset: it has 2 rows, the events make 1"),
        (_no_table, "state, transfer: it is missing"),
        (_column_more, "state, device_version, row 1: verified_by is"),
        (_true_for_one, "state, test_result, row 1: passed is 1, the events make it true"),
        (_no_manufacturer, "state: the manufacturers are"),
        (_kind_word, "its reading says kind"),
        (_no_flag, "its reading says flags"),
        (_of_the_past, "asOf is block 3, though events come up to block"),
        (_other_words_of_trust, "the trust statement is not the one of this format"),
    ],
)
def test_a_forger_who_makes_the_manifest_anew_is_caught_with_the_reason(
    case: Case, change: Change, reason: str
) -> None:
    document = case.document
    change(document)
    with pytest.raises(Failed, match=reason):
        check(resealed(document), {})


def test_a_made_up_header_is_caught_by_a_trusted_hash_only_and_the_report_says_so(case: Case) -> None:
    document = case.document
    _made_up_header(document)
    forged = resealed(document)
    checked = check(forged, {})
    number = document["blocks"][2]["number"]
    assert number in checked.untrusted
    assert "not that these blocks are canonical" in report(checked)
    real = bytes.fromhex(case.chain.block(number)["hash"][2:])
    with pytest.raises(Failed, match=f"block {number}: its hash is"):
        check(forged, {number: real})


def test_a_changed_document_with_its_old_manifest_is_named_as_changed(case: Case) -> None:
    document = case.document
    document["events"][0]["transactionHash"] = "0x" + "77" * 32
    with pytest.raises(Failed, match="something in the document was changed after it was made"):
        check(canonical(document), {})


def test_a_manifest_that_miscounts_fails(case: Case) -> None:
    document = case.document
    document["manifest"]["events"] += 1
    with pytest.raises(Failed, match=r"the manifest: the document holds \d+ events, the manifest says"):
        check(canonical(document), {})


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": "certindex-bundle/2"}', b"PK\x03\x04"]
)
def test_what_is_no_bundle_fails_as_none(data: bytes) -> None:
    with pytest.raises(Failed, match="the file is no bundle of a known format"):
        check(data, {})


# The command, and what it needs


def test_the_command_prints_pass_or_the_first_difference(case: Case, certindex: Certindex, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(case.data)
    bad.write_bytes(case.data.replace(b"Garage", b"Garbge"))
    done = certindex("check", str(good))
    assert (done.status, done.out[:5]) == (0, "PASS ")
    done = certindex("check", str(bad))
    assert (done.status, done.out[:5]) == (1, "FAIL ")
    block = case.document["blocks"][0]
    done = certindex("check", str(good), "--block-hash", f"{block['number']}={block['hash']}")
    assert f"established: block {block['number']} is of the chain that you trust" in done.out
    done = certindex("check", str(tmp_path / "none.json"))
    assert (done.status, done.err) == (
        2,
        f"certindex check: {tmp_path}/none.json cannot be read: No such file or directory\n",
    )
    done = certindex("check", str(good), "--block-hash", "7")
    assert done.status == 2
    assert '"7" is not a block hash. Example: 35000000=0xabab' in done.err


def test_a_node_of_the_readers_choice_vouches_for_the_blocks(case: Case, certindex: Certindex, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(case.data)
    done = certindex("check", str(path), "--rpc-url", case.chain.url)
    assert done.status == 0
    assert "of the chain that you trust" in done.out
    assert "canonical" not in done.out
    with Anvil("--chain-id", "4242") as other:
        done = certindex("check", str(path), "--rpc-url", other.url)
        assert (done.status, "is a node of chain 4242, the bundle is of chain 31337" in done.err) == (2, True)
    with Anvil() as empty:
        done = certindex("check", str(path), "--rpc-url", empty.url)
        assert (done.status, "has no block" in done.err) == (2, True)
        empty.mine(100)
        done = certindex("check", str(path), "--rpc-url", empty.url)
        assert (done.status, "it is not a block of that chain" in done.out) == (1, True)
    done = certindex("check", str(path), "--rpc-url", "http://127.0.0.1:1/secret-key")
    assert (done.status, "http://127.0.0.1:1 did not answer" in done.err, "secret" in done.err) == (2, True, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"",
    ],
)
def test_what_is_no_node_is_named(case: Case, certindex: Certindex, tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(case.data)
    with listening(answer) as url:
        done = certindex("check", str(path), "--rpc-url", f"{url}/secret-key")
    assert done.status == 2
    assert done.err.startswith(f"certindex check: {url} did not answer eth_chainId: ")
    assert "secret" not in done.err


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Yields the URL of a server that returns the same response to every request."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "url", ["foo", "127.0.0.1:8545", "ws://a", "http://", "http://a:99999", "http://[::1", "http://a:b"]
)
def test_what_is_no_url_is_refused_as_it_was_given(certindex: Certindex, url: str) -> None:
    done = certindex("check", "bundle.json", "--rpc-url", url)
    assert done.status == 2
    assert f'"{url}" is not an http:// or https:// URL. Example: http://127.0.0.1:8545' in done.err


@pytest.mark.parametrize("data", [b"name = 1", b"[" * 100_000, b"{}"])
def test_a_file_that_is_no_bundle_causes_no_request(certindex: Certindex, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(data)
    done = certindex("check", str(path), "--rpc-url", "http://127.0.0.1:1")
    assert (done.status, done.out[:24]) == (1, "FAIL the file is no bund")


def test_the_check_runs_without_database_and_network(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(case.data)
    program = f"""
import sys
import threading
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "sqlite3.connect"):
        raise AssertionError(f"the check used {{event}}")
sys.addaudithook(refuse)
from indexer.check.__main__ import run, parser
status = run(parser().parse_args([{str(path)!r}]))
libraries = {{"sqlalchemy", "sqlite3", "psycopg", "alembic", "aiohttp", "web3", "http.client", "urllib.request"}}
ours = {{
    "schema.tables.database", "schema.tables.tables", "schema.tables.columns", "indexer.store", "indexer.rpc",
    "indexer.verification.witness",
}}
print(sorted((libraries | ours) & set(sys.modules)))
sys.exit(status)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASS ")
    assert done.stdout.splitlines()[-1] == "[]", "the check imports what reads databases or networks"


# The format


def test_the_committed_json_schema_is_the_formats() -> None:
    committed = json.loads((REPOSITORY / "schema" / "bundle" / "bundle.schema.json").read_text())
    assert committed == json_schema(), "run: python -m schema.bundle"


def test_the_manifest_is_over_the_canonical_form(case: Case) -> None:
    document = case.document
    manifest = document.pop("manifest")
    assert manifest["hash"] == f"0x{keccak256(canonical(document)).hex()}"
    bundle = msgspec.json.decode(case.data, type=Bundle)
    assert manifest_of(bundle) == bundle.manifest


@given(
    st.recursive(st.text() | st.integers() | st.booleans() | st.none(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_the_canonical_form_says_the_same_as_the_document(document: Any) -> None:
    assert json.loads(canonical(document)) == document
    assert canonical(json.loads(json.dumps(document, indent=1))) == canonical(document)


def test_the_state_holds_every_table_that_has_rows_of_its_subject() -> None:
    for kind in SUBJECTS.values():
        owned = {
            name
            for name, table in Chain.metadata.tables.items()
            if kind.owner in table.columns and name not in ("event", "orphaned_event")
        }
        naming = {table.name for table in SPANS.values() if kind.owner not in table.owners.values()}
        repeating = {table.name for table in SPANS.values() if table.repeats}
        assert set(kind.tables) == owned - naming - repeating
        assert set(kind.tables) <= {*SPANS, *LIFECYCLE}


def test_the_documents_quote_the_trust_statement_and_name_every_part() -> None:
    page = (REPOSITORY / "docs" / "how-it-works" / "verification.md").read_text()
    quoted = page.partition("<!-- trust -->")[2].partition("<!-- end -->")[0]
    assert quoted.replace(">", " ").split() == TRUST.split()
    assert all(f"`{cause.name}`" in page for cause in FailureCause)
    format_page = (REPOSITORY / "docs" / "reference" / "bundle.md").read_text()
    assert all(f"| `{part}` |" in format_page for part in json_schema()["$defs"]["Bundle"]["properties"])
