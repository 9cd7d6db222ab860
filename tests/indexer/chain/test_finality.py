"""What the chain makes of several answers: block tags, missing logs, pruned history, and the finality depth."""

from typing import Any

import pytest

from indexer.chain.chain import Chain
from indexer.chain.finality import DEFAULT_DEPTH, FINALITY_DEPTHS, finality_depth
from indexer.chain.wire import WrongAnswer
from indexer.errors import Stop
from indexer.opening import check_quorum
from indexer.rpc.errors import RpcError
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted

TRANSFER = emitted("Transfer", to=b"\x0a" * 20, tokenId=7)


class Moody(FakeNode):
    """Answers as `moods` say for a while: method and tag to the error's words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.moods: dict[str, str] = {}
        self.mine_blocks(20)

    def answer(self, method: str, params: list[Any]) -> Any:
        mood = self.moods.get(str(params[0]))
        if mood is not None:
            raise RpcError("http://fake", method, mood, code=-32000)
        return super().answer(method, params)


def watching(node: FakeNode, **options: Any) -> Chain:
    return Chain(node, {CERTIFICATE}, finality_depth=2, **options)


# Finality


@pytest.mark.parametrize(
    "words",
    ["unknown block tag finalized", "hex string without 0x prefix", "invalid argument 0", "finalized block not found"],
)
async def test_a_node_that_knows_no_such_tag_is_final_by_depth(words: str) -> None:
    node = Moody(finality=10)
    node.moods = {"finalized": words, "safe": words}
    assert (await watching(node).heads()).finalized.number == 18


@pytest.mark.parametrize("words", ["Internal error", "rate limit", "the moon is in the wrong house"])
async def test_a_node_that_fails_to_tell_what_is_final_is_not_believed_to_know_no_tags(words: str) -> None:
    node = Moody(finality=10)
    node.moods = {"finalized": words}
    with pytest.raises(RpcError, match=words):
        await watching(node).heads()


async def test_a_chain_that_had_tags_does_not_lose_them() -> None:
    node = Moody(finality=10)
    chain = watching(node)
    assert (await chain.heads()).finalized.number == 10
    node.moods = {"finalized": "unknown block tag finalized"}
    with pytest.raises(RpcError, match="unknown block tag"):
        await chain.heads()
    node.moods = {}
    assert (await chain.heads()).finalized.number == 10


def test_where_nobody_says_what_is_final_the_network_has_a_depth() -> None:
    assert finality_depth(137) == FINALITY_DEPTHS[137] == 512
    assert finality_depth(31337) == DEFAULT_DEPTH
    assert all(48 <= depth <= 30_000 for depth in FINALITY_DEPTHS.values())


# Absence


async def test_an_empty_answer_under_a_bloom_that_admits_ours_is_settled_by_the_receipts() -> None:
    class Forgetful(FakeNode):
        def answer(self, method: str, params: list[Any]) -> Any:
            if method == "eth_getBlockReceipts":
                [log] = super().answer("eth_getLogs", [{"blockHash": "0x" + self.head.hash.hex(), "address": OURS}])
                return [
                    {"transactionHash": log["transactionHash"], "blockHash": log["blockHash"], "logs": [log]}
                    | OF_RECEIPT
                ]
            return [] if method == "eth_getLogs" else super().answer(method, params)

    node = Forgetful()
    node.mine(TRANSFER)
    chain = watching(node)
    [log] = await chain.block_logs(await chain.header(1))
    assert log.topics == TRANSFER.topics
    assert "eth_getBlockReceipts" in node.calls


OF_RECEIPT = {"transactionIndex": "0x0", "cumulativeGasUsed": "0x5208"}
OURS = ["0x" + CERTIFICATE.hex()]


async def test_a_node_that_forgot_its_logs_is_found_out_by_a_bloom_that_is_not_empty() -> None:
    class Pruned(FakeNode):
        def answer(self, method: str, params: list[Any]) -> Any:
            return [] if method == "eth_getLogs" else super().answer(method, params)

    node = Pruned()
    node.mine(TRANSFER)
    node.mine()
    chain = watching(node)
    with pytest.raises(
        WrongAnswer, match=r"no logs of block 1, though the block's bloom .*Set a node with full history"
    ):
        await chain.check_history(await chain.header(1))
    await chain.check_history(await chain.header(2))


# Looks and quorum


async def test_logs_are_asked_for_as_often_as_told_and_must_be_the_same() -> None:
    class Fickle(FakeNode):
        def answer(self, method: str, params: list[Any]) -> Any:
            plain = super().answer(method, params)
            return plain[: self.calls.count("eth_getLogs") % 2] if method == "eth_getLogs" else plain

    node = FakeNode()
    node.mine(TRANSFER)
    await watching(node, answers=3).range_logs(0, 1)
    assert node.calls.count("eth_getLogs") == 3
    fickle = Fickle()
    fickle.mine(TRANSFER)
    with pytest.raises(WrongAnswer, match=r"Two answers differ on the logs of blocks 0\.\.1: 1 logs from .* and 0"):
        await watching(fickle, answers=2).range_logs(0, 1)


def test_a_quorum_of_more_hosts_than_there_are_is_refused_with_the_way_out() -> None:
    check_quorum(2, ["https://a.example/1", "https://b.example/1"])
    with pytest.raises(Stop, match=r"^QUORUM=2: RPC_URLS names 1 different hosts\. Add others, or lower QUORUM\.$"):
        check_quorum(2, ["https://a.example/1", "https://a.example/2"])
