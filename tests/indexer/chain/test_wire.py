"""Responses of nodes are parsed strictly."""

from collections.abc import Iterable

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from indexer.chain.wire import LogReader, RawLog, WrongAnswer
from indexer.proof.bloom import Bloom
from schema.abi.keccak import keccak256

LOG = (
    b'{"address":"0x%s","topics":["0x%s"],"data":"0x01","blockNumber":"0x5","blockHash":"0x%s","logIndex":"%s",'
    b'"transactionHash":"0x%s","transactionIndex":"0x0","removed":false}'
)


def answer(*indexes: str) -> Raw:
    logs = (LOG % (b"aa" * 20, b"bb" * 32, b"cc" * 32, index.encode(), b"dd" * 32) for index in indexes)
    return Raw(b"[" + b",".join(logs) + b"]")


class Counting:
    """Believes all logs, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, logs: Iterable[RawLog]) -> list[RawLog]:
        self.asked += 1
        return list(logs)


def test_a_second_look_that_says_the_same_is_not_read_again() -> None:
    check = Counting()
    read = LogReader(check)
    first = read(answer("0x0", "0x1"))
    assert read(answer("0x0", "0x1")) == first
    assert check.asked == 1


def test_a_second_look_that_says_something_else_is_read() -> None:
    check = Counting()
    read = LogReader(check)
    assert [len(read(answer(*indexes))) for indexes in (("0x0", "0x1"), ("0x0",), ("0x0", "0x1"))] == [2, 1, 2]
    assert check.asked == 3


def test_an_answer_that_was_not_believed_is_no_more_believed_when_it_comes_again() -> None:
    def refuse(logs: Iterable[RawLog]) -> list[RawLog]:
        raise WrongAnswer("never")

    read = LogReader(refuse)
    for _ in range(2):
        with pytest.raises(WrongAnswer, match="never"):
            read(answer("0x0"))


@pytest.mark.parametrize("text", [b"false", b'"logs"', b"[1]", b"[{}]", b"[null]", b'[{"address":5}]'])
def test_what_is_no_list_of_logs_is_a_wrong_answer(text: bytes) -> None:
    with pytest.raises(WrongAnswer, match="instead of logs"):
        LogReader(Counting())(Raw(text))


def test_null_for_a_list_is_an_empty_list() -> None:
    assert LogReader(Counting())(Raw(b"null")) == []
    without_topics = bytes(answer("0x0", "0x1")).replace(b'["0x%s"]' % (b"bb" * 32), b"null")
    assert [log.topics for log in LogReader(Counting())(Raw(without_topics))] == [b"", b""]


@given(st.binary(max_size=300))
def test_the_hash_is_ethereum_s(data: bytes) -> None:
    assert keccak256(data) == keccak(data)


LOGS = st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)), max_size=4)


@given(LOGS, LOGS)
def test_a_bloom_admits_the_logs_that_made_it_and_none_whose_bits_it_lacks(
    logs: list[tuple[bytes, bytes]], others: list[tuple[bytes, bytes]]
) -> None:
    bloom = Bloom()
    made = bloom.of(logs)
    bits, wanted = (int.from_bytes(bloom.of(found), "big") for found in (logs, others))
    assert bloom.admits(made, logs)
    assert bloom.admits(made, others) == (bits & wanted == wanted)


@pytest.mark.parametrize("data", ["0x 01", "0x0", "0x0g", "0x0\u0661", "0x0x01"])
def test_hex_is_read_to_the_letter(data: str) -> None:
    log = answer("0x0")
    spoilt = Raw(bytes(log).replace(b'"data":"0x01"', f'"data":"{data}"'.encode()))
    with pytest.raises(WrongAnswer, match="instead of bytes in hex"):
        LogReader(list)(spoilt)
