"""A node of a Bor chain: it returns state-sync logs, which are under no receipts root and in no bloom."""

from collections.abc import Mapping, Sequence
from typing import Any

from indexer.proof.state_sync import state_sync_transaction
from tests.support.chain.devchain import Anvil
from tests.support.chain.fakechain import Log
from tests.support.rpc.faultproxy import Exchange


class StateSync:
    """State-sync logs by block, on a chain of a development node. `returned` is a fault that adds them to answers."""

    def __init__(self, chain: Anvil, logs: Mapping[int, Sequence[Log]]) -> None:
        self.receipts: dict[str, dict[str, Any]] = {}
        self.of_block: dict[str, dict[str, Any]] = {}
        for number, block_logs in logs.items():
            block = chain.block(number)
            receipts = [chain.receipt(hash) or {} for hash in block["transactions"]]
            count = sum(len(receipt["logs"]) for receipt in receipts)
            name = "0x" + state_sync_transaction(number, bytes.fromhex(block["hash"][2:])).hex()
            place = {
                "blockNumber": block["number"],
                "blockHash": block["hash"],
                "transactionHash": name,
                "transactionIndex": hex(len(receipts)),
            }
            receipt = place | {
                "type": "0x0",
                "status": "0x1",
                "cumulativeGasUsed": "0x0",
                "logs": [_json_log(log) | place | {"logIndex": hex(count + n)} for n, log in enumerate(block_logs)],
            }
            self.receipts[name] = self.of_block[block["hash"]] = self.of_block[block["number"]] = receipt

    def first_index(self, number: int) -> int:
        """Returns the index of the first state-sync log of a block."""
        return int(self.of_block[hex(number)]["logs"][0]["logIndex"], 16)

    def returned(self, exchange: Exchange) -> bool:
        """The node returns state-sync logs, and their receipts."""
        match exchange.method:
            case "eth_getLogs":
                return self._add_logs(exchange)
            case "eth_getTransactionReceipt":
                receipt = self.receipts.get(exchange.params[0])
                exchange.result = exchange.result if receipt is None else receipt
                return receipt is not None
            case "eth_getBlockReceipts" if receipt := self.of_block.get(exchange.params[0]):
                exchange.result = [*exchange.result, receipt]
                return True
            case "eth_getBlockByNumber" | "eth_getBlockByHash" if exchange.result:
                receipt = self.of_block.get(exchange.result["hash"])
                if receipt is not None:
                    exchange.result["transactions"].append(receipt["transactionHash"])
                return receipt is not None
        return False

    def _add_logs(self, exchange: Exchange) -> bool:
        addresses = exchange.query.get("address")
        added = [
            log
            for receipt in self.receipts.values()
            for log in receipt["logs"]
            if _is_in_range(exchange, log) and (addresses is None or log["address"] in addresses)
        ]
        exchange.result = [*exchange.result, *added]
        return bool(added)


def _is_in_range(exchange: Exchange, log: dict[str, Any]) -> bool:
    if exchange.range is None:
        return bool(log["blockHash"] == exchange.query["blockHash"])
    return exchange.range[0] <= int(log["blockNumber"], 16) <= exchange.range[1]


def _json_log(log: Log) -> dict[str, Any]:
    return {
        "address": "0x" + log.address.hex(),
        "topics": ["0x" + log.topics[start : start + 32].hex() for start in range(0, len(log.topics), 32)],
        "data": "0x" + log.data.hex(),
        "removed": False,
    }
