"""Receipts and their roots: published roots of public chains, and an independent encoder."""

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from indexer.proof.receipt import (
    FAILURE,
    SUCCESS,
    TYPES,
    Log,
    Receipt,
    UnknownReceipt,
    bloom,
    decode_receipt,
    encode_receipt,
)
from indexer.proof.trie import Trie
from schema.abi.rlp import RlpError

ERC20_TRANSFER = Log(
    bytes.fromhex("9c76c6304885661cdb97f3984b13114b6d4b5248"),
    bytes.fromhex(
        "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        "00000000000000000000000070ce2d9bb8502e302b9cbe5c56a5d0f1067da713"
        "000000000000000000000000717c7f9822e8c2ae6a64773f7a92727755a7e2fc"
    ),
    bytes.fromhex("00000000000000000000000000000000000000000000003635c9adc5dea00000"),
)

logs = st.builds(
    Log,
    st.binary(min_size=20, max_size=20),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(b"".join),
    st.binary(max_size=100),
)
receipts = st.builds(
    Receipt,
    st.sampled_from([type for type in TYPES if type != 0x7E]),
    st.one_of(st.sampled_from([SUCCESS, FAILURE]), st.binary(min_size=32, max_size=32)),
    st.integers(0, 2**64),
    st.lists(logs, max_size=3).map(tuple),
) | st.builds(
    Receipt,
    st.just(0x7E),
    st.sampled_from([SUCCESS, FAILURE]),
    st.integers(0, 2**64),
    st.lists(logs, max_size=3).map(tuple),
    st.integers(0, 2**64),
    st.just(1),
)


@pytest.mark.parametrize(
    ("block", "gas", "nonce", "root"),
    [
        (863731, 0xF9F5, 0xD2DF2, "3c715dd96d2597ccd46fde046da5e4b13e0a5b7d0a2ff60c3ee6c92fee9600ea"),
        (549192, 0xCCFD, 0x86147, "dbf9def3e8d930433596aa91b3ad3279652031ca45b1a3ca92785703f84aa6b0"),
        (697672, 0xC545, 0xAA547, "0e7c255df3e2b7ca4d55b82047531f7f3e7437ab1eb33e22eca70653c874982d"),
    ],
)
def test_deposits_of_manta_sepolia_before_canyon_give_the_roots_of_their_blocks(
    block: int, gas: int, nonce: int, root: str
) -> None:
    deposit = Receipt(0x7E, SUCCESS, gas, (), deposit_nonce=nonce)
    assert Trie([encode_receipt(deposit)]).root.hex() == root, block


def test_a_deposit_beside_a_token_transfer_gives_the_root_of_manta_sepolia_836765() -> None:
    block = [
        Receipt(0x7E, SUCCESS, 0xCCFD, (), deposit_nonce=0xCC49C),
        Receipt(0x02, SUCCESS, 0x18336, (ERC20_TRANSFER,)),
    ]
    root = Trie([encode_receipt(receipt) for receipt in block]).root
    assert root.hex() == "11e432ab48d8ffcb3278758a25fb2e10ba1267feae336da97a0f7bc861c74bbe"


def test_a_deposit_since_canyon_hashes_its_nonce_and_version() -> None:
    before = Receipt(0x7E, SUCCESS, 46913, (), deposit_nonce=4012991)
    since = Receipt(0x7E, SUCCESS, 46913, (), deposit_nonce=4012991, deposit_version=1)
    assert encode_receipt(since)[0] == 0x7E
    assert len(rlp.decode(encode_receipt(before)[1:])) == 4
    assert rlp.decode(encode_receipt(since)[1:])[4:] == [(4012991).to_bytes(3, "big"), b"\x01"]


@given(receipts)
def test_a_receipt_is_encoded_as_an_independent_encoder_does(receipt: Receipt) -> None:
    fields: list[object] = [
        receipt.outcome,
        receipt.cumulative_gas_used,
        bloom(receipt.logs),
        [
            [log.address, [log.topics[at : at + 32] for at in range(0, len(log.topics), 32)], log.data]
            for log in receipt.logs
        ],
    ]
    if receipt.deposit_version is not None:
        fields += [receipt.deposit_nonce, receipt.deposit_version]
    prefix = bytes((receipt.type,)) if receipt.type else b""
    assert encode_receipt(receipt) == prefix + rlp.encode(fields)


@given(receipts)
def test_a_receipt_is_read_back_as_it_was_written(receipt: Receipt) -> None:
    assert decode_receipt(encode_receipt(receipt)) == receipt


@given(receipts, st.data())
def test_a_receipt_with_a_changed_byte_is_another_one_or_none(receipt: Receipt, data: st.DataObject) -> None:
    encoded = bytearray(encode_receipt(receipt))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_receipt(bytes(encoded))
    except (RlpError, UnknownReceipt):
        return
    assert changed != receipt or encode_receipt(changed) != bytes(encoded), "one receipt with two encodings"


def test_a_bloom_sets_the_bits_that_the_yellow_paper_names() -> None:
    # the bloom of the zero address alone, and of one address with one topic
    only_address = bloom([Log(bytes(20), b"", b"")])
    assert sum(byte.bit_count() for byte in only_address) == 3
    both = bloom([Log(bytes(20), bytes(32), b"")])
    assert int.from_bytes(only_address, "big") & int.from_bytes(both, "big") == int.from_bytes(only_address, "big")
    assert only_address != both


@pytest.mark.parametrize("type", [0x05, 0x67, 0x71, 0x7B, 0xFF])
def test_a_type_whose_form_is_not_known_is_refused_by_name(type: int) -> None:
    with pytest.raises(UnknownReceipt, match=f"0x{type:02x}"):
        encode_receipt(Receipt(type, SUCCESS, 21000, ()))


def test_a_leaf_of_an_unknown_type_is_not_read_as_something_else() -> None:
    body = encode_receipt(Receipt(0, SUCCESS, 21000, ()))
    with pytest.raises(UnknownReceipt, match="0x71"):
        decode_receipt(b"\x71" + body)
    with pytest.raises(UnknownReceipt):
        decode_receipt(b"")
