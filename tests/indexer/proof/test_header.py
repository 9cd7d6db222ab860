"""Block headers: published hashes of public chains, every fork of a development chain, and refusals."""

import json
from typing import Any

import pytest
import rlp

from indexer.proof.header import FIELDS, decode_header, encode_header
from schema.abi.keccak import keccak256
from schema.abi.rlp import RlpError
from tests.support.chain.devchain import REPOSITORY, Anvil

PUBLIC: list[dict[str, Any]] = json.loads((REPOSITORY / "tests" / "support" / "chain" / "headers.json").read_text())
LATEST = PUBLIC[-1]


@pytest.mark.parametrize("fields", PUBLIC, ids=[header["name"] for header in PUBLIC])
def test_a_public_header_has_the_hash_that_its_chain_gave_it(fields: dict[str, Any]) -> None:
    encoded = encode_header(fields, _hash(fields))
    assert encoded is not None
    assert keccak256(encoded) == _hash(fields)
    read = decode_header(encoded)
    assert (read.number, read.timestamp) == (int(fields["number"], 16), int(fields["timestamp"], 16))
    assert "0x" + read.parent_hash.hex() == fields["parentHash"]
    assert "0x" + read.receipts_root.hex() == fields["receiptsRoot"]
    assert "0x" + read.logs_bloom.hex() == fields["logsBloom"]


@pytest.mark.parametrize("fork", ["byzantium", "berlin", "london", "shanghai", "cancun", "prague", "osaka"])
def test_every_fork_of_a_development_chain_is_recomputed(fork: str) -> None:
    with Anvil("--hardfork", fork) as chain:
        chain.mine(2)
        for number in range(3):
            header = chain.block(number)
            assert encode_header(header, _hash(header)) is not None


@pytest.mark.parametrize("field", [name for name in LATEST if name not in ("name", "hash")])
def test_a_change_of_any_field_is_another_header(field: str) -> None:
    value = LATEST[field]
    changed = "0x01" if value == "0x" else value[:-1] + ("2" if value[-1] == "1" else "1")
    assert encode_header(LATEST | {field: changed}, _hash(LATEST)) is None


def test_fields_that_a_node_returns_but_its_chain_does_not_hash_are_left_out() -> None:
    polygon = PUBLIC[3]
    zero = "0x" + "00" * 32
    assert encode_header(polygon | {"withdrawalsRoot": zero, "requestsHash": zero}, _hash(polygon)) is not None


def test_a_field_that_is_skipped_before_a_later_one_counts_as_empty() -> None:
    header = {name: value for name, value in LATEST.items() if name != "blobGasUsed"}
    fields: list[bytes] = rlp.decode(encode_header(LATEST, _hash(LATEST)))
    fields[len(FIELDS) + 2] = b""
    assert encode_header(header, keccak256(rlp.encode(fields))) == rlp.encode(fields)


def test_a_header_without_a_field_of_every_chain_has_no_known_form() -> None:
    assert encode_header({**LATEST, "mixHash": None}, _hash(LATEST)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("stateRoot", "0x12"), ("gasUsed", "0xzz"), ("gasUsed", "-0x1"), ("nonce", 7), ("miner", "0xg")],
)
def test_a_field_that_cannot_be_a_headers_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RlpError, match=field):
        encode_header(LATEST | {field: value}, _hash(LATEST))


@pytest.mark.parametrize("encoded", [b"", b"\xc0", b"\x80", rlp.encode([b""] * 15), rlp.encode([b"\0" * 32] * 21)])
def test_bytes_that_are_no_header_are_refused(encoded: bytes) -> None:
    with pytest.raises(RlpError):
        decode_header(encoded)


def _hash(header: dict[str, Any]) -> bytes:
    return bytes.fromhex(header["hash"][2:])
