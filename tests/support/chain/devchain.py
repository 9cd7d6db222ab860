"""A development chain: an anvil process, JSON-RPC to it, and contracts on it."""

import http.client
import json
import platform
import re
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from eth_abi.abi import decode, encode
from eth_utils.abi import function_abi_to_4byte_selector
from eth_utils.crypto import keccak

from scripts.processes import Child

REPOSITORY = Path(__file__).resolve().parents[3]
CERTIFICATE = REPOSITORY / "schema" / "contract" / "DeviceCertificate.json"
GAS = 30_000_000
BLOCK_GAS = 1_000_000 * GAS  # a block has room for all that a test sends
MINED_SECONDS = 60
POLL_SECONDS = 0.0005

PATIENCE_SECONDS = 60
"""How long a response may take: the machine may be busy."""


class RpcError(Exception):
    """The chain returned an error: its message, and the data of a revert."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')} {error.get('data', '')}".strip())
        self.data = bytes.fromhex(data[2:]) if isinstance(data := error.get("data"), str) else b""


class Refused(Exception):
    """A contract reverted with a custom error: its name and arguments."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


class Anvil:
    """A chain in its own process, with options of the anvil program. `stop`, or the end of a `with`, ends it."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self._listening = threading.Event()
        self._port = 0
        # anvil leaves the states of its blocks on the disk when it is ended by a signal
        self._states = TemporaryDirectory(prefix="certindex-anvil-")
        command: list[str | Path] = [anvil_program(), "--host", "127.0.0.1", "--port", str(port), *options]
        command += ["--cache-path", self._states.name]
        if "--gas-limit" not in options:
            command += ["--gas-limit", str(BLOCK_GAS)]
        self.child = Child(command, on_line=self._read_port)
        while not self._listening.wait(0.01):
            if self.child.exit_status is not None:
                self.child.stop()
                self._states.cleanup()
                raise RuntimeError(f"anvil ended with status {self.child.exit_status}:\n{self.child.last_output}")
        self.url = f"http://127.0.0.1:{self._port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        self._lock = threading.Lock()  # one connection, used by an event loop and by threads beside it

    def request(self, method: str, *params: Any) -> Any:
        """Returns the result of one request. Raises RpcError."""
        return self.batch([(method, params)])[0]

    def batch(self, requests: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Returns the results of many requests sent at once, in order. Raises RpcError for the first that failed."""
        requests = list(requests)
        if not requests:
            return []
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(requests)
        ]
        with self._lock:
            try:
                self._connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
                responses = json.loads(self._connection.getresponse().read())
            except BaseException:
                self._connection.close()  # the next request opens another: this one waits for a response
                raise
        responses.sort(key=lambda response: int(response["id"]))
        for response in responses:
            if "error" in response:
                raise RpcError(requests[response["id"]][0], response["error"])
        return [response["result"] for response in responses]

    @cached_property
    def accounts(self) -> list[str]:
        """The unlocked accounts, in lower-case hex as JSON-RPC returns them."""
        return [str(account).lower() for account in self.request("eth_accounts")]

    @property
    def chain_id(self) -> int:
        return int(self.request("eth_chainId"), 16)

    @property
    def block_number(self) -> int:
        return int(self.request("eth_blockNumber"), 16)

    def block(self, number: int | str = "latest") -> dict[str, Any]:
        """Returns a block with its transaction hashes, as JSON-RPC returns it."""
        block: dict[str, Any] = self.request("eth_getBlockByNumber", _block_tag(number), False)
        return block

    def timestamp(self, number: int | str = "latest") -> int:
        return int(self.block(number)["timestamp"], 16)

    def nonce(self, account: str) -> int:
        return int(self.request("eth_getTransactionCount", account, "pending"), 16)

    def logs(self, address: str | None = None, from_block: int = 0) -> list[dict[str, Any]]:
        """Returns all logs from a block on, as JSON-RPC returns them."""
        query = {"fromBlock": hex(from_block), "toBlock": "latest"} | ({"address": address} if address else {})
        logs: list[dict[str, Any]] = self.request("eth_getLogs", query)
        return logs

    def mine(self, blocks: int = 1, *, timestamp: int | None = None) -> None:
        """Mines blocks; the first one at `timestamp` (unix seconds)."""
        if timestamp is not None:
            self.set_next_timestamp(timestamp)
        self.request("anvil_mine", hex(blocks))

    def set_next_timestamp(self, timestamp: int) -> None:
        self.request("evm_setNextBlockTimestamp", timestamp)

    def set_automine(self, automine: bool) -> None:
        self.request("evm_setAutomine", automine)

    def snapshot(self) -> str:
        """Returns the id of the present state, for `revert`."""
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Returns to a snapshot and removes the blocks after it. A snapshot can be used once."""
        if not self.request("evm_revert", snapshot):
            raise ValueError(
                f"no snapshot {snapshot} on this chain: each can be used once. Take another with snapshot()"
            )

    def reorg(self, depth: int, transactions: Sequence[tuple[dict[str, Any], int]] = ()) -> None:
        """Replaces the last `depth` blocks by as many others, with (transaction, index of its block) in them."""
        self.request("anvil_reorg", depth, [[transaction, block] for transaction, block in transactions])

    def receipt(self, transaction_hash: str) -> dict[str, Any] | None:
        """Returns a receipt as JSON-RPC returns it, None while the transaction is not in a block."""
        receipt: dict[str, Any] | None = self.request("eth_getTransactionReceipt", transaction_hash)
        return receipt

    def send(self, transaction: dict[str, Any]) -> dict[str, Any]:
        """Sends a transaction, on a chain that mines by itself, and returns its receipt. Raises RpcError."""
        # not eth_sendTransactionSync: anvil waits there for the next block, which may have come already
        transaction_hash = self.request("eth_sendTransaction", transaction)
        deadline = time.monotonic() + MINED_SECONDS
        while (receipt := self.receipt(transaction_hash)) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"anvil has not mined {transaction_hash} within {MINED_SECONDS} seconds")
            time.sleep(POLL_SECONDS)
        return receipt

    def stop(self) -> None:
        self._connection.close()
        self.child.stop()
        self._states.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_port(self, line: str) -> None:
        if match := re.match(r"Listening on .*:(\d+)$", line):
            self._port = int(match[1])
            self._listening.set()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract."""

    abi: tuple[dict[str, Any], ...]
    bytecode: str

    @classmethod
    def read(cls, path: Path = CERTIFICATE) -> Self:
        compiled = json.loads(path.read_text())
        return cls(tuple(compiled["abi"]), compiled["bytecode"])


class Contract:
    """A contract on a chain: calls, transactions, and its custom errors by name."""

    def __init__(self, chain: Anvil, address: str, abi: Iterable[dict[str, Any]]) -> None:
        self.chain = chain
        self.address = address.lower()
        entries = list(abi)
        self._functions = {_signature(entry): entry for entry in entries if entry["type"] == "function"}
        self._by_name: dict[str, list[str]] = {}
        for signature, entry in self._functions.items():
            self._by_name.setdefault(entry["name"], []).append(signature)
        self._events = {keccak(text=_signature(entry)): entry for entry in entries if entry["type"] == "event"}
        self._errors = {keccak(text=_signature(entry))[:4]: entry for entry in entries if entry["type"] == "error"}

    @classmethod
    def deploy(
        cls, chain: Anvil, artifact: Artifact, *arguments: Any, sender: str | None = None, mine: bool = False
    ) -> Self:
        """Deploys with the constructor's arguments. `mine`: the chain does not mine by itself, so mine a block."""
        inputs: list[dict[str, Any]] = next(
            (entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), []
        )
        data = artifact.bytecode + encode([_type(item) for item in inputs], arguments).hex()
        transaction = {"from": sender or chain.accounts[0], "data": data, "gas": hex(GAS)}
        if mine:
            transaction_hash = chain.request("eth_sendTransaction", transaction)
            chain.mine()
            receipt = chain.receipt(transaction_hash)
        else:
            receipt = chain.send(transaction)
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"the contract was not deployed: {receipt}")
        return cls(chain, receipt["contractAddress"], artifact.abi)

    def encode(self, name: str, *arguments: Any) -> str:
        """Returns calldata. `name` is a function's name, or its signature if several have that name."""
        function = self.function(name, len(arguments))
        types = [_type(item) for item in function["inputs"]]
        return "0x" + (function_abi_to_4byte_selector(function) + encode(types, arguments)).hex()  # type: ignore[arg-type]  # JSON of the compiler

    def call(self, name: str, *arguments: Any, sender: str | None = None, block: int | str = "latest") -> Any:
        """Returns the result of a function: one value, or a tuple. Raises Refused."""
        transaction = {"to": self.address, "data": self.encode(name, *arguments)}
        if sender is not None:
            transaction["from"] = sender
        try:
            result = self.chain.request("eth_call", transaction, _block_tag(block))
        except RpcError as error:
            raise self._refusal(error) from error
        outputs = [_type(item) for item in self.function(name, len(arguments))["outputs"]]
        values = decode(outputs, bytes.fromhex(result[2:]))
        return values[0] if len(values) == 1 else values

    def transaction(self, name: str, *arguments: Any, sender: str, nonce: int | None = None) -> dict[str, Any]:
        """Returns a transaction object for eth_sendTransaction and anvil_reorg."""
        transaction = {"from": sender, "to": self.address, "data": self.encode(name, *arguments), "gas": hex(GAS)}
        return transaction | ({} if nonce is None else {"nonce": hex(nonce)})

    def post(self, name: str, *arguments: Any, sender: str, nonce: int | None = None) -> str:
        """Sends without waiting for a block and returns the transaction's hash."""
        return str(
            self.chain.request("eth_sendTransaction", self.transaction(name, *arguments, sender=sender, nonce=nonce))
        )

    def send(self, name: str, *arguments: Any, sender: str) -> dict[str, Any]:
        """Sends, on a chain that mines by itself, and returns the receipt. Raises Refused if it would revert."""
        self.call(name, *arguments, sender=sender, block="pending")
        transaction = self.transaction(name, *arguments, sender=sender)
        receipt = self.chain.send(transaction)
        if receipt["status"] != "0x1":
            raise RuntimeError(f"{name}{arguments} failed: {receipt}")
        return receipt

    def event(self, log: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Returns the name and the arguments of one of the contract's events, from a log as JSON-RPC returns it."""
        entry = self._events[bytes.fromhex(log["topics"][0][2:])]
        indexed = [item for item in entry["inputs"] if item["indexed"]]
        plain = [item for item in entry["inputs"] if not item["indexed"]]
        topics = b"".join(bytes.fromhex(topic[2:]) for topic in log["topics"][1:])
        values = dict(
            zip((item["name"] for item in indexed), decode([_type(item) for item in indexed], topics), strict=True)
        )
        data = decode([_type(item) for item in plain], bytes.fromhex(log["data"][2:]))
        values |= dict(zip((item["name"] for item in plain), data, strict=True))
        return entry["name"], {item["name"]: values[item["name"]] for item in entry["inputs"]}

    def function(self, name: str, argument_count: int) -> dict[str, Any]:
        """Returns a function's ABI. `name` is its signature if several have its name and argument count."""
        if name in self._functions:
            return self._functions[name]
        functions = [
            self._functions[signature]
            for signature in self._by_name.get(name, [])
            if len(self._functions[signature]["inputs"]) == argument_count
        ]
        if len(functions) != 1:
            signatures = ", ".join(sorted(self._functions))
            raise ValueError(
                f"{name} with {argument_count} arguments names {len(functions)} functions. They are: {signatures}"
            )
        return functions[0]

    def _refusal(self, error: RpcError) -> Exception:
        entry = self._errors.get(error.data[:4])
        if entry is None:
            return error
        return Refused(entry["name"], decode([_type(item) for item in entry["inputs"]], error.data[4:]))


def anvil_program() -> Path:
    """Returns the anvil program in node_modules for this machine. Raises FileNotFoundError."""
    machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "amd64"
    package = f"anvil-{sys.platform}-{machine}"  # not npm's launcher: to kill that leaves the program running
    program = REPOSITORY / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
    if not program.exists():
        raise FileNotFoundError(f"no EVM node at {program}. Set it up: ./scripts/setup")
    return program


def _block_tag(number: int | str) -> str:
    return hex(number) if isinstance(number, int) else number


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_type(item) for item in entry['inputs'])})"


def _type(item: dict[str, Any]) -> str:
    """Returns an ABI type with its tuples written out."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in item['components'])}){kind.removeprefix('tuple')}"
