"""Blocks of a development chain for tests of verification: transactions of every type, and nodes that lie."""

from collections.abc import Callable, Sequence
from functools import cache
from time import monotonic, sleep
from typing import Any, TypeVar

from eth_account import Account
from eth_account.typed_transactions import base
from eth_utils.address import to_checksum_address

from indexer.errors import TryAgain
from indexer.proof.evidence import Evidence, StoredBlock, StoredLog
from indexer.proof.header import ProvenHeader, decode_header
from indexer.proof.receipt import Log, decode_receipt
from indexer.proof.trie import prove, trie_key
from indexer.rpc.errors import RpcError
from indexer.rpc.host import Host
from indexer.rpc.providers import Answered
from indexer.verification.witness import Sources, Witness
from tests.support.chain import devchain
from tests.support.chain.devchain import Anvil, Contract
from tests.support.chain.factory import HASH, Factory
from tests.support.chain.fakechain import HOST, convert_to

ResultT = TypeVar("ResultT")

FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The well-known private key of a development chain's first account."""

# loading takes seconds, and each transaction with a blob loads three times
base.load_trusted_setup = cache(base.load_trusted_setup)  # type: ignore[attr-defined]  # imported there

Lie = Callable[[str, Any], Any]
"""Returns the false answer for a method and its true answer."""


class Nodes:
    """Providers of one chain. `lies` alter the answers of the first provider. `requests` lists the methods."""

    def __init__(self, chain: Anvil, *lies: Lie, count: int = 1) -> None:
        self.chain = chain
        self.lies = lies
        self.count = count
        self.requests: list[str] = []

    async def call(
        self, method: str, params: list[Any], result: type[ResultT], *, avoid: Sequence[Host] = (), strict: bool = False
    ) -> Answered[ResultT]:
        answer = self._request(method, params)
        if self.count == 1 or not avoid:
            for lie in self.lies:
                answer = lie(method, answer)
        return Answered(HOST, convert_to(answer, result))

    async def call_each(
        self, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[Answered[ResultT]]:
        return [await self.call(method, arguments, result) for arguments in params]

    def distrust(self, host: Host, reason: TryAgain) -> None:
        pass

    def _request(self, method: str, params: list[Any]) -> Any:
        self.requests.append(method)
        return self.chain.request(method, *params)


def refusing(refused: str) -> Lie:
    """Returns the lie of a node that does not support a method."""

    def lie(method: str, answer: Any) -> Any:
        if method == refused:
            raise RpcError("http://node", method, f"the method {method} does not exist/is not available", code=-32601)
        return answer

    return lie


def altering(method: str, change: Callable[[Any], None]) -> Lie:
    """Returns the lie of a node that changes its answers to one method, in place."""

    def lie(requested: str, answer: Any) -> Any:
        if requested == method:
            change(answer)
        return answer

    return lie


async def evidence_of(chain: Anvil, number: int, *lies: Lie) -> Evidence:
    block = chain.block(number)
    return await Witness(Nodes(chain, *lies)).evidence(bytes.fromhex(block["hash"][2:]), Sources())


def proven_log(
    header: bytes, transaction_index: int, nodes: Sequence[bytes], receipt_log_index: int
) -> tuple[ProvenHeader, Log]:
    """Returns the header and the log that an inclusion proof proves to be in it."""
    proven = decode_header(header)
    receipt = decode_receipt(prove(proven.receipts_root, trie_key(transaction_index), nodes))
    return proven, receipt.logs[receipt_log_index]


def stored_block(chain: Anvil, number: int, address: str) -> StoredBlock:
    """Returns the block as an honest indexer of the contract stores it."""
    block = chain.block(number)
    logs = [log for log in chain.logs(address) if int(log["blockNumber"], 16) == number]
    return StoredBlock(
        number,
        _bytes(block["hash"]),
        _bytes(block["parentHash"]),
        int(block["timestamp"], 16),
        _bytes(block["stateRoot"]),
        _bytes(block["transactionsRoot"]),
        _bytes(block["receiptsRoot"]),
        [_stored_log(log) for log in logs],
    )


def block_of_every_type(factory: Factory) -> int:
    """Mines one block with transactions of types 0 to 4, each with a log, and one that fails; returns its number."""
    chain, contract = factory.chain, factory.contract
    chain.set_automine(False)
    nonce = chain.nonce(chain.accounts[0])
    sent = [
        _send(chain, contract, kind, nonce + number, manufacturer=100 + number)
        for number, kind in enumerate((LEGACY, ACCESS_LIST, FEES, BLOBS))
    ]
    sent.append(_send(chain, contract, SET_CODE, nonce + 4, manufacturer=104))
    failing = chain.request(
        "eth_sendTransaction",
        {"from": chain.accounts[9], "to": contract.address, "data": "0x12345678", "gas": "0x10000"},
    )
    deadline = monotonic() + 60
    while len(chain.request("txpool_content")["pending"].get(to_checksum_address(chain.accounts[0]), sent)) < len(sent):
        assert monotonic() < deadline, "the transactions did not arrive"
        sleep(0.02)
    chain.mine()
    chain.set_automine(True)
    receipts = [chain.receipt(hash) for hash in (*sent, failing)]
    assert [receipt and receipt["type"] for receipt in receipts[:5]] == [f"0x{kind:x}" for kind in range(5)]
    assert len({receipt["blockNumber"] for receipt in receipts if receipt}) == 1
    assert receipts[-1] is not None
    assert receipts[-1]["status"] == "0x0"
    return int(receipts[-1]["blockNumber"], 16)


LEGACY: dict[str, Any] = {"gasPrice": 10**11}
ACCESS_LIST: dict[str, Any] = {"gasPrice": 10**11, "accessList": [], "type": 1}
FEES: dict[str, Any] = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10, "type": 2}
BLOBS: dict[str, Any] = FEES | {"type": 3, "maxFeePerBlobGas": 10**10}
SET_CODE: dict[str, Any] = FEES | {"type": 4}


def _send(chain: Anvil, contract: Contract, kind: dict[str, Any], nonce: int, *, manufacturer: int) -> str:
    to = to_checksum_address(contract.address)
    data = contract.encode("licenseManufacturer", manufacturer, f"0x{manufacturer:040x}", "Maker", "ipfs://", HASH, 0)
    fields = {"to": to, "gas": devchain.GAS // 10, "chainId": chain.chain_id, "value": 0, "data": data, "nonce": nonce}
    extra: dict[str, Any] = {"blobs": [bytes(131_072)]} if kind is BLOBS else {}
    if kind is SET_CODE:
        delegation = {"chainId": chain.chain_id, "address": to, "nonce": nonce + 1}
        fields["authorizationList"] = [Account.sign_authorization(delegation, FIRST_KEY)]
    signed = Account.sign_transaction(fields | kind, FIRST_KEY, **extra)
    return str(chain.request("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()))


def _stored_log(log: dict[str, Any]) -> StoredLog:
    return StoredLog(
        int(log["logIndex"], 16),
        int(log["transactionIndex"], 16),
        _bytes(log["transactionHash"]),
        _bytes(log["address"]),
        b"".join(map(_bytes, log["topics"])),
        _bytes(log["data"]),
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
