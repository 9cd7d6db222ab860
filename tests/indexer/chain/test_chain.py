"""Responses of a node are checked against the request, the header and each other before they are used."""

from collections.abc import Callable
from typing import Any

import pytest

from indexer.chain.blooms import trusts_bloom
from indexer.chain.chain import Chain
from indexer.errors import Stop, TryAgain
from indexer.rpc.pool import check_chain_id
from schema.vocabulary import VerificationLevel
from tests.support.chain.factory import Factory
from tests.support.chain.fakechain import CERTIFICATE, GENESIS_TIME, FakeNode, emitted, logs_bloom
from tests.support.chain.fakechain import Log as FakeLog

Edit = Callable[[dict[str, Any]], dict[str, Any] | list[dict[str, Any]]]

OWNER = b"\x0a" * 20
TRANSFER = emitted("Transfer", to=OWNER, tokenId=7)


class TamperedNode(FakeNode):
    """Answers as `edit` says instead of as it is: each log, or each header, is edited on its way."""

    def __init__(self, *, log: Edit | None = None, header: Edit | None = None) -> None:
        super().__init__(finality=2)
        self.edit_log = log
        self.edit_header = header
        self.mine(TRANSFER)
        self.mine_blocks(4)

    def answer(self, method: str, params: list[Any]) -> Any:
        plain = super().answer(method, params)
        if method == "eth_getLogs" and self.edit_log is not None:
            edited = map(self.edit_log, plain)
            return [log for logs in edited for log in (logs if isinstance(logs, list) else [logs])]
        if method == "eth_getBlockByNumber" and self.edit_header is not None:
            return self.edit_header(plain)
        return plain


def watching(node: FakeNode) -> Chain:
    return Chain(node, {CERTIFICATE}, finality_depth=2)


async def test_a_block_and_its_logs_are_read_as_the_node_gave_them() -> None:
    node = FakeNode()
    block = node.mine(TRANSFER, emitted("DeviceProvisioned", tokenId=7, provisionedAt=5))
    chain = watching(node)
    header = await chain.header(1)
    logs = await chain.block_logs(header)
    assert (header.number, header.hash, header.parent_hash) == (1, block.hash, node.blocks[0].hash)
    assert header.timestamp == GENESIS_TIME + 12
    assert [(log.block_number, log.log_index, log.address) for log in logs] == [
        (1, 0, CERTIFICATE),
        (1, 1, CERTIFICATE),
    ]
    assert (logs[0].topics, logs[0].data) == (TRANSFER.topics, TRANSFER.data)
    assert logs == await chain.range_logs(0, 1)
    assert (await chain.confirm(header, logs)).level == VerificationLevel.BLOOM


async def test_a_log_without_topics_is_a_log() -> None:
    node = FakeNode()
    node.mine(FakeLog(b"", b"\x01" * 5))
    [log] = await watching(node).range_logs(0, 1)
    assert (log.topics, log.data) == (b"", b"\x01" * 5)


async def test_finality_is_told_by_the_tag_or_by_depth_where_the_node_has_none() -> None:
    for tags in (True, False):
        node = FakeNode(finality=3, tags=tags)
        node.mine_blocks(10)
        chain = Chain(node, {CERTIFICATE}, finality_depth=3)
        for _ in range(2):
            heads = await chain.heads()
            assert (heads.latest.number, heads.safe_number, heads.finalized.number) == (10, 7, 7)


async def test_nothing_below_the_first_block_is_final() -> None:
    heads = await Chain(FakeNode(tags=False), {CERTIFICATE}, finality_depth=64).heads()
    assert heads.finalized.number == 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda log: log | {"blockNumber": "0x9"}, "returned a log of block 9; blocks 0..3 were requested"),
        (lambda log: log | {"address": "0x" + "ab" * 20}, "0xabab.*which was not requested"),
        (lambda log: [log, log], r"log 0 of block 1 twice\. If this lasts, name another node in RPC_URLS"),
        (
            lambda log: [log, log | {"transactionHash": "0x" + "cd" * 32}],
            "log 0 of block 1 twice, in the transactions 0x.* and 0x.*: it counts logs by transaction.*RPC_URLS",
        ),
        (lambda log: [log | {"logIndex": "0xfffffffc"}] * 2, "log 4294967292 of block 1 twice"),
        (lambda log: [log, log | {"logIndex": "0x1", "blockHash": "0x" + "cd" * 32}], "two different blocks 1"),
        (lambda log: log | {"removed": True}, r"a reorg removed \(block 1\)"),
        (lambda log: log | {"topics": ["0x1234"]}, "0x1234"),
        (lambda log: log | {"topics": ["0x" + "zz" * 32]}, "zz"),
        (lambda log: log | {"topics": ["0x" + "11" * 31, "0x" + "11" * 33]}, "0x1111"),
        (lambda log: log | {"data": "0x123"}, "0x123"),
        (lambda log: log | {"data": "hello"}, "hello"),
        (lambda log: log | {"transactionHash": "0x12"}, "returned 1 bytes instead of 32"),
        (lambda log: log | {"logIndex": "first"}, "'first' instead of a number"),
        (lambda log: log | {"logIndex": "-0x1"}, "'-0x1' instead of a number"),
        (lambda log: log | {"transactionIndex": hex(2**63)}, "instead of a number"),
    ],
)
async def test_a_log_that_cannot_be_is_refused_with_what_is_wrong(edit: Edit, words: str) -> None:
    with pytest.raises(TryAgain, match=f"(?i){words}"):
        await watching(TamperedNode(log=edit)).range_logs(0, 3)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda header: header | {"number": "0x2"}, "returned block 2 instead of block 1"),
        (lambda header: header | {"hash": "0x12"}, "returned 1 bytes instead of 32"),
        (lambda header: header | {"timestamp": "soon"}, "'soon' instead of a number"),
        (lambda header: header | {"logsBloom": "0x00"}, "returned 1 bytes instead of 256"),
    ],
)
async def test_a_header_that_cannot_be_is_refused_with_what_is_wrong(edit: Edit, words: str) -> None:
    with pytest.raises(TryAgain, match=f"(?i){words}"):
        await watching(TamperedNode(header=edit)).header(1)


async def test_logs_of_another_branch_than_the_header_are_refused() -> None:
    chain = watching(TamperedNode(log=lambda log: log | {"blockHash": "0x" + "cd" * 32}))
    with pytest.raises(TryAgain, match="answers from two branches"):
        await chain.block_logs(await chain.header(1))


async def test_a_log_that_the_bloom_excludes_is_refused() -> None:
    chain = watching(TamperedNode(header=lambda header: header | {"logsBloom": "0x" + "00" * 255 + "01"}))
    with pytest.raises(TryAgain, match=r"the header's bloom excludes.*RPC_URLS.*TRUST_BLOOM=off"):
        await chain.block_logs(await chain.header(1))


async def test_an_empty_answer_under_a_bloom_that_admits_ours_is_asked_again() -> None:
    class SlowIndex(FakeNode):
        def answer(self, method: str, params: list[Any]) -> Any:
            first = method == "eth_getLogs" and self.calls.count("eth_getLogs") == 1
            return [] if first else super().answer(method, params)

    node = SlowIndex()
    node.mine(TRANSFER)
    chain = watching(node)
    assert len(await chain.block_logs(await chain.header(1))) == 1


async def test_a_bloom_that_is_not_trusted_is_not_read() -> None:
    node = TamperedNode(header=lambda header: header | {"logsBloom": "0x" + "00" * 255 + "01"})
    chain = Chain(node, {CERTIFICATE}, finality_depth=2, trust_bloom=False)
    for header in (await chain.header(1), *await chain.headers([1]), (await chain.heads()).latest):
        assert header.logs_bloom is None
    logs = await chain.block_logs(header := await chain.header(1))
    assert len(logs) == 1
    assert (await chain.confirm(header, logs)).level == VerificationLevel.RPC


def test_blooms_are_trusted_unless_the_chain_is_known_for_wrong_ones_or_the_setting_says_otherwise() -> None:
    assert [trusts_bloom(chain_id, None) for chain_id in (1, 137, 314, 1329, 324)] == [True, True, False, False, False]
    assert [trusts_bloom(chain_id, setting) for chain_id in (1, 314) for setting in (True, False)] == [True, False] * 2


@pytest.mark.parametrize("bloom", [None, "0x" + "00" * 256])
async def test_logs_beside_no_bloom_are_taken_but_not_called_confirmed(bloom: str | None) -> None:
    chain = watching(TamperedNode(header=lambda header: header | {"logsBloom": bloom}))
    header = await chain.header(1)
    logs = await chain.block_logs(header)
    assert len(logs) == 1
    assert (await chain.confirm(header, logs)).level == VerificationLevel.RPC


async def test_a_block_time_beyond_what_a_database_holds_becomes_the_largest() -> None:
    chain = watching(TamperedNode(header=lambda header: header | {"timestamp": hex(2**64 - 1)}))
    # one second before OPEN, so that a licence that never expires has not expired even then
    assert (await chain.header(1)).timestamp == 2**63 - 2


async def test_a_block_that_the_node_does_not_have_is_asked_for_later() -> None:
    with pytest.raises(TryAgain, match="no block 5: it lags"):
        await watching(FakeNode()).header(5)


def test_a_node_of_another_network_is_refused_with_both_ids() -> None:
    check_chain_id(5, 5, "http://node")
    with pytest.raises(Stop, match="http://node is a node of chain 5, not of chain 137"):
        check_chain_id(137, 5, "http://node")


def test_the_fake_chain_makes_the_blooms_of_a_real_one(factory: Factory) -> None:
    factory.mint()
    block = factory.chain.block()
    logs = [log for log in factory.chain.logs() if log["blockHash"] == block["hash"]]
    assert len(logs) > 1
    bloom = logs_bloom(
        FakeLog(bytes.fromhex("".join(topic[2:] for topic in log["topics"])), b"", bytes.fromhex(log["address"][2:]))
        for log in logs
    )
    assert "0x" + bloom.hex() == block["logsBloom"]
