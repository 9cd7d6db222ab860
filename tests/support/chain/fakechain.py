"""A node without an EVM: a list of blocks that tests mine and reorg, and the JSON-RPC responses of a real node.

node = FakeNode()
node.mine(emitted("Transfer", to=ALICE, tokenId=1))
node.reorg(1)                       # the same height again, without the transfer
chain = Chain(node, {CERTIFICATE}, finality_depth=64)
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec
from eth_utils.crypto import keccak

from indexer.errors import TryAgain
from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import RpcError
from indexer.rpc.gather import gather
from indexer.rpc.host import Host
from indexer.rpc.providers import Answered
from schema.abi.signature import EventSignature, parse_event
from tests.support.chain.abi_log import abi_log

ResultT = TypeVar("ResultT")

CERTIFICATE = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
GENESIS_TIME = 1_700_000_000
HOST = Host(Endpoint("http://node:8545"), "http://node:8545", time.monotonic, random.random)
"""The host in the answers of nodes that are no server."""
BLOCK_SECONDS = 12

SIGNATURES = """
Transfer(address indexed from, address indexed to, uint256 indexed tokenId)
Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)
ManufacturerLicensed(uint256 indexed manufacturerId, address indexed account, string name, string licenseURI, bytes32 licenseHash, uint64 expiresAt)
ManufacturerLicenseRevoked(uint256 indexed manufacturerId, string reason)
HardwareLicensed(uint256 indexed hardwareLicenseId, uint256 indexed manufacturerId, string model, string hardwareRevision, string licenseURI, bytes32 licenseHash, uint64 expiresAt)
HardwareLicenseRevoked(uint256 indexed hardwareLicenseId, string reason)
CertificateMinted(uint256 indexed tokenId, address indexed device, uint256 indexed manufacturerId, uint256 hardwareLicenseId, string serialNumber, string imei, uint64 manufacturedAt, string firmwareVersion)
CertificateCorrected(uint256 indexed tokenId, string attribute, string value)
DeviceAddressReset(uint256 indexed tokenId, address indexed device)
InCircuitTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash)
MechanicalTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash)
QualityInspectionRecorded(uint256 indexed tokenId, bool passed, uint64 inspectedAt, string inspector, string reportURI, bytes32 reportHash)
DeviceProvisioned(uint256 indexed tokenId, uint64 provisionedAt)
UserAuthorized(uint256 indexed tokenId, address indexed user, string organization, uint256 permissions, uint64 expiresAt)
UserRevoked(uint256 indexed tokenId, address indexed user)
FactoryReset(uint256 indexed tokenId, address indexed initiator, uint64 resetAt, uint8 reason)
FirmwareUpdated(uint256 indexed tokenId, string fromVersion, string toVersion, bytes32 imageHash, uint8 result, uint64 appliedAt)
EndOfLifeRecorded(uint256 indexed tokenId, uint8 indexed process, uint64 occurredAt, string facility, uint8 sanitization, string evidenceURI, bytes32 evidenceHash)
"""  # noqa: E501  # signatures are read whole
SIGNATURE_OF = {line.partition("(")[0]: line for line in SIGNATURES.split("\n") if line}

_chain_ids = itertools.count(1_000)
_transactions = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Log:
    """A log. `index` is its number in the block, by default the next one."""

    topics: bytes
    data: bytes
    address: bytes = CERTIFICATE
    transaction: bytes = b""
    index: int | None = None


@dataclass(frozen=True, slots=True)
class FakeBlock:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    logs: tuple[Log, ...]


def emitted(event_name: str, /, **arguments: Any) -> Log:
    """Returns the log of an event of the reference contract; arguments left out are "", 0, false or zeros."""
    signature = SIGNATURE_OF[event_name]
    event = _event(signature)
    unknown = arguments.keys() - {argument.name for argument in event.inputs}
    assert not unknown, f"{event_name} has no {unknown}"
    values = [arguments.get(argument.name, _zero(argument.type)) for argument in event.inputs]
    return emitted_by(signature, *values)


def emitted_by(signature: str, *values: Any, address: bytes = CERTIFICATE) -> Log:
    """Returns the log of any event, in a transaction of its own."""
    topics, data = _encoded(signature, values)
    return Log(topics, data, address, new_transaction())


def new_transaction() -> bytes:
    return keccak(b"transaction" + next(_transactions).to_bytes(8, "big"))


class FakeNode:
    """A node with the methods that `indexer.chain` uses. Each has a chain id of its own unless `chain_id` is given.

    Blocks `finality` below the head are final; the finalized height never goes down. Without `tags` the node does not
    support "safe" and "finalized". `before_call` is called before every request, to count, to reorg or to raise.
    """

    def __init__(self, *, chain_id: int | None = None, finality: int = 64, tags: bool = True) -> None:
        self.chain_id = next(_chain_ids) if chain_id is None else chain_id
        self.finality = finality
        self.tags = tags
        self.has_bloom = True
        self.deployed_at = 0
        self.finalized_number = 0
        self.blocks: list[FakeBlock] = []
        self.calls: list[str] = []
        self.before_call: Callable[[str], None] = self.calls.append
        self._forks = itertools.count()
        self._fork = next(self._forks)
        self._append((), GENESIS_TIME)

    # The chain

    def mine(self, *logs: Log, after: int = BLOCK_SECONDS) -> FakeBlock:
        """Adds a block with these logs, `after` seconds later than its parent."""
        return self._append(logs, self.head.timestamp + after)

    def mine_blocks(self, count: int) -> None:
        """Adds blocks without logs."""
        for _ in range(count):
            self.mine()

    def reorg(self, depth: int, *blocks: Iterable[Log], same_length: bool = True) -> None:
        """Replaces the last `depth` blocks by others with these logs, and by empty ones up to the old height."""
        old_height = self.head.number
        del self.blocks[len(self.blocks) - depth :]
        self._fork = next(self._forks)
        for logs in blocks:
            self.mine(*logs)
        while same_length and self.head.number < old_height:
            self.mine()

    def switch_to(self, branch: Sequence[FakeBlock]) -> None:
        """Returns to an earlier branch."""
        self.blocks = list(branch)
        self._fork = next(self._forks)

    @property
    def head(self) -> FakeBlock:
        return self.blocks[-1]

    def _append(self, logs: Sequence[Log], timestamp: int) -> FakeBlock:
        number = len(self.blocks)
        parent = self.blocks[-1].hash if self.blocks else bytes(32)
        numbered = tuple(
            replace(log, index=index if log.index is None else log.index, transaction=log.transaction or bytes(32))
            for index, log in enumerate(logs)
        )
        seed = b"".join(
            [parent, self._fork.to_bytes(8, "big"), timestamp.to_bytes(32, "big"), *map(_log_bytes, numbered)]
        )
        block = FakeBlock(number, keccak(seed), parent, timestamp, numbered)
        self.blocks.append(block)
        self.finalized_number = max(self.finalized_number, number - self.finality)
        return block

    # JSON-RPC

    async def call(
        self, method: str, params: list[Any], result: type[ResultT], *, avoid: Sequence[Host] = (), strict: bool = False
    ) -> Answered[ResultT]:
        self.before_call(method)
        return Answered(HOST, convert_to(self.answer(method, params), result))

    async def call_each(
        self, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[Answered[ResultT]]:
        return await gather(*(self.call(method, arguments, result) for arguments in params))

    def distrust(self, host: Host, reason: TryAgain) -> None:
        """There is no other node."""

    def answer(self, method: str, params: list[Any]) -> Any:
        """Returns the result as in the JSON response."""
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head.number)
            case "eth_getCode":
                return "0x00" if int(params[1], 16) >= self.deployed_at else "0x"
            case "eth_getBlockByNumber":
                return self._block(params[0])
            case "eth_getLogs":
                return self._logs(params[0])
            case _:
                raise RpcError("http://fake", method, "the method does not exist", code=-32601)

    def _block(self, tag: str) -> dict[str, Any] | None:
        if tag in ("safe", "finalized") and not self.tags:
            raise RpcError("http://fake", "eth_getBlockByNumber", f"unknown tag {tag}", code=-32602)
        finalized = min(self.finalized_number, self.head.number)
        number = {"latest": self.head.number, "safe": finalized, "finalized": finalized}.get(tag)
        number = int(tag, 16) if number is None else number
        return self._header(self.blocks[number]) if number < len(self.blocks) else None

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        addresses = {bytes.fromhex(address[2:]) for address in query.get("address", ())}
        return [
            _json_log(block, log)
            for block in self._queried(query)
            for log in block.logs
            if "address" not in query or log.address in addresses
        ]

    def _queried(self, query: dict[str, Any]) -> Sequence[FakeBlock]:
        if "blockHash" not in query:
            return self.blocks[int(query["fromBlock"], 16) : int(query["toBlock"], 16) + 1]
        blocks = [block for block in self.blocks if "0x" + block.hash.hex() == query["blockHash"]]
        if not blocks:
            raise RpcError("http://fake", "eth_getLogs", "unknown block", code=-32000)
        return blocks

    def _header(self, block: FakeBlock) -> dict[str, Any]:
        header: dict[str, Any] = {
            "number": hex(block.number),
            "hash": "0x" + block.hash.hex(),
            "parentHash": "0x" + block.parent_hash.hex(),
            "timestamp": hex(block.timestamp),
            "stateRoot": "0x" + keccak(b"state" + block.hash).hex(),
            "transactionsRoot": "0x" + keccak(b"transactions" + block.hash).hex(),
            "receiptsRoot": "0x" + keccak(b"receipts" + block.hash).hex(),
        }
        return header | ({"logsBloom": "0x" + logs_bloom(block.logs).hex()} if self.has_bloom else {})


def convert_to(answer: Any, result: type[ResultT]) -> ResultT:
    """Returns an answer converted to the type that the caller requests."""
    return msgspec.json.decode(msgspec.json.encode(answer), type=result)


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """Returns the bloom of logs as the yellow paper defines it: three bits for the address and each topic."""
    bits = 0
    for log in logs:
        for item in (log.address, *(log.topics[start : start + 32] for start in range(0, len(log.topics), 32))):
            bits |= _bloom_bits(item)
    return bits.to_bytes(256, "big")


@lru_cache(4096)
def _bloom_bits(item: bytes) -> int:
    digest = keccak(item)
    return sum({1 << (int.from_bytes(digest[start : start + 2], "big") & 2047) for start in (0, 2, 4)})


def _json_log(block: FakeBlock, log: Log) -> dict[str, Any]:
    return {
        "address": "0x" + log.address.hex(),
        "topics": ["0x" + log.topics[start : start + 32].hex() for start in range(0, len(log.topics), 32)],
        "data": "0x" + log.data.hex(),
        "blockNumber": hex(block.number),
        "blockHash": "0x" + block.hash.hex(),
        "logIndex": hex(log.index or 0),
        "transactionHash": "0x" + log.transaction.hex(),
        "transactionIndex": hex([other.transaction for other in block.logs].index(log.transaction)),
        "removed": False,
    }


def _log_bytes(log: Log) -> bytes:
    return keccak(log.address + log.topics + log.data + log.transaction)


@cache
def _event(signature: str) -> EventSignature:
    return parse_event(signature)


@lru_cache(4096)
def _encoded(signature: str, values: tuple[Any, ...]) -> tuple[bytes, bytes]:
    return abi_log(signature, *values)


def _zero(type_name: str) -> Any:
    if type_name == "address":
        return bytes(20)
    if type_name == "bytes32":
        return bytes(32)
    return {"string": "", "bool": False}.get(type_name, 0)
