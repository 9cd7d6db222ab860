"""An RPC URL as a provider of web3."""

import subprocess
import sys

import pytest
from web3 import AsyncWeb3
from web3.exceptions import Web3RPCError

from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import NoAnswer
from tests.conftest import StartAnvil


async def test_web3_asks_through_an_endpoint(anvil: StartAnvil) -> None:
    endpoint = Endpoint(anvil().url)
    w3 = AsyncWeb3(endpoint)
    try:
        block = await w3.eth.get_block("latest")
        assert block["number"] == await w3.eth.block_number
        assert await w3.eth.chain_id == 31337
        with pytest.raises(Web3RPCError, match="block height is 0"):
            await w3.eth.get_balance(w3.to_checksum_address("0x" + "12" * 20), 4660)
    finally:
        await endpoint.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", r"Connect call failed \('127.0.0.1', 1\)"),
        ("http://node.invalid:8545", r".+"),  # the resolver's words
    ],
)
async def test_the_error_of_a_node_that_is_not_there_names_it_once_with_the_reason(url: str, reason: str) -> None:
    endpoint = Endpoint(url, timeout=2)
    with pytest.raises(NoAnswer, match=rf"^{url} did not answer eth_blockNumber: (?!Cannot connect){reason}$"):
        await AsyncWeb3(endpoint).eth.block_number
    await endpoint.close()


# in a process of its own: where it fails, the process is gone
NESTED = """
from indexer.rpc import endpoint
from indexer.rpc.errors import RpcError
from indexer.rpc.reply import Reply, result_of
from indexer.rpc.request import Request

for depth in (50, 900, 60_000):
    error = b'{"error":' + b"[" * depth + b'"why"' + b"]" * depth + b"}"
    try:
        result_of("http://node", Request(1, "eth_chainId", []), Reply(400, error))
    except RpcError as refusal:
        print(depth, "why" in str(refusal))
"""


def test_an_error_that_is_nested_without_end_does_not_end_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("50 True\n900 True\n60000 False\n", 0), ended.stderr
