"""The trie of a list and its proofs, compared with py-trie."""

import pytest
import rlp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from indexer.proof.trie import EMPTY_ROOT, ProofError, Trie, prove, trie_key
from schema.abi.rlp import Item, RlpError, decode, encode, integer

values = st.lists(st.binary(min_size=1, max_size=40), max_size=300)
rlp_items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=30)


@settings(max_examples=40, deadline=None)
@given(values)
@example([b"a"])
@example([bytes((number % 251 + 1,)) * 300 for number in range(257)])
def test_the_root_is_the_one_that_py_trie_finds(values: list[bytes]) -> None:
    oracle = HexaryTrie({})
    for index, value in enumerate(values):
        oracle[rlp.encode(index)] = value
    assert Trie(values).root == oracle.root_hash


def test_an_empty_list_has_the_root_that_empty_blocks_have() -> None:
    assert Trie([]).root == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    with pytest.raises(IndexError):
        Trie([]).proof(0)


@settings(max_examples=40, deadline=None)
@given(values.filter(bool), st.data())
def test_a_proof_leads_to_its_value_for_us_and_for_py_trie(values: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    trie = Trie(values)
    nodes = trie.proof(index)
    assert prove(trie.root, trie_key(index), nodes) == values[index]
    decoded = [rlp.decode(node) for node in nodes]
    value = HexaryTrie.get_from_proof(trie.root, rlp.encode(index), decoded)  # type: ignore[no-untyped-call]  # py-trie
    assert value == values[index]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.data())
def test_a_changed_byte_anywhere_in_a_proof_breaks_it(count: int, data: st.DataObject) -> None:
    values = [bytes((number % 255 + 1,)) * 50 for number in range(count)]
    index = data.draw(st.integers(0, count - 1))
    trie = Trie(values)
    nodes = trie.proof(index)
    place = data.draw(st.integers(0, len(nodes) - 1))
    changed = bytearray(nodes[place])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProofError, match=f"node {place + 1} of {len(nodes)} has the hash"):
        prove(trie.root, trie_key(index), [*nodes[:place], bytes(changed), *nodes[place + 1 :]])


def test_a_proof_with_nodes_missing_added_or_of_another_place_fails() -> None:
    values = [bytes((number % 255 + 1,)) * 50 for number in range(200)]
    trie = Trie(values)
    nodes = trie.proof(7)
    with pytest.raises(ProofError, match="end before the value"):
        prove(trie.root, trie_key(7), nodes[:-1])
    with pytest.raises(ProofError, match="1 nodes too many"):
        prove(trie.root, trie_key(7), [*nodes, nodes[0]])
    with pytest.raises(ProofError):
        prove(trie.root, trie_key(8), nodes)
    with pytest.raises(ProofError, match="not 0x0000"):
        prove(bytes(32), trie_key(7), nodes)
    with pytest.raises(IndexError):
        trie.proof(200)


@given(rlp_items)
def test_rlp_is_encoded_and_decoded_as_the_rlp_library_does(item: Item) -> None:
    encoded = encode(item)
    assert encoded == rlp.encode(item)
    assert decode(encoded) == item


@given(st.binary(max_size=80))
def test_bytes_that_decode_are_the_one_encoding_of_what_they_say(data: bytes) -> None:
    try:
        item = decode(data)
    except RlpError:
        with pytest.raises(rlp.exceptions.DecodingError):
            rlp.decode(data)
        return
    assert encode(item) == data


@pytest.mark.parametrize(
    "data", ["", "81", "8105", "b800", "b90001ff", "c1", "c281", "8080", "f800", "bf" + "ff" * 8, "c18105"]
)
def test_bytes_that_are_no_rlp_are_refused(data: str) -> None:
    with pytest.raises(RlpError):
        decode(bytes.fromhex(data))


@given(st.integers(0, 2**300))
def test_a_number_is_written_without_leading_zeros(number: int) -> None:
    assert rlp.encode(number) == encode(integer(number))
