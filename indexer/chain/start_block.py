"""Where a contract's life begins: START_BLOCK=auto, by asking old blocks whether there was code at its address.

A contract that destroyed itself and came back is found where it came back. Nodes that keep no old state say so, or give
nothing, or the newest state for any block: the nonce of an old transaction's sender tells.
"""

from msgspec import Struct

from indexer.chain.wire import to_number
from indexer.errors import Stop
from indexer.rpc import RpcError
from indexer.rpc.providers import Providers
from indexer.rpc.refusals import HistoryGone

ORDINARY_TYPES = range(5)
"""Types of transactions whose nonce is the sender's; rollups have others, whose nonce means nothing."""
SEARCHED_BLOCKS = 64


class JsonTransaction(Struct, rename={"sender": "from"}):
    sender: str
    nonce: str
    type: str = "0x0"


class JsonTransactions(Struct):
    """A block of which only the transactions matter."""

    transactions: list[JsonTransaction]


async def has_code(rpc: Providers, address: bytes, block: str) -> bool:
    """Tells whether a contract stood at the address after the block, a number in hex or a tag."""
    answer = await rpc.call("eth_getCode", ["0x" + address.hex(), block], str)
    return answer.result not in ("0x", "")


async def find_start_block(rpc: Providers, role: str, address: bytes, final: int) -> int:
    """Returns the first block after which the contract has code; the one after `final` where it is younger than that.

    Raises Stop where there is no contract, and where no provider keeps the states to find out.
    """
    try:
        found = await _search(rpc, role, address, final)
        told_of = found - 1 if found else final // 2
        is_true = found > final or await _is_true(rpc, told_of, final)
    except RpcError as error:
        if isinstance(error.refusal, HistoryGone):
            raise Stop(_advice(role, address, str(error))) from None
        raise
    if not is_true:
        raise Stop(_advice(role, address, f"what is told of the state after block {told_of} is made up"))
    return found


async def _search(rpc: Providers, role: str, address: bytes, final: int) -> int:
    if not await has_code(rpc, address, hex(final)):
        if not await has_code(rpc, address, "latest"):
            raise Stop(
                f"START_BLOCK=auto: there is no contract at {role}=0x{address.hex()}. Set CONTRACTS right; for one "
                f"that is still to come, or is no more, set START_BLOCK. Example: START_BLOCK={final + 1}"
            )
        return final + 1  # where exactly is not final yet
    absent, present = -1, final
    while present - absent > 1:
        middle = (absent + present) // 2
        if await has_code(rpc, address, hex(middle)):
            present = middle
        else:
            absent = middle
    return present


async def _is_true(rpc: Providers, block: int, final: int) -> bool:
    """Tells whether the state after a block is told as it was: nonces fit the transactions next to it.

    Believes where there are none to judge by.
    """
    for number in range(block, max(block - SEARCHED_BLOCKS, 0), -1):
        if nonces := await _nonces(rpc, number):
            sender, nonce = nonces[-1]
            if await _count(rpc, sender, block) <= nonce:
                return False
            break
    for number in range(block + 1, min(block + SEARCHED_BLOCKS, final + 1)):
        if nonces := await _nonces(rpc, number):
            sender, nonce = nonces[0]
            return await _count(rpc, sender, block) <= nonce
    return True


async def _nonces(rpc: Providers, block: int) -> list[tuple[str, int]]:
    """Returns sender and nonce of each ordinary transaction of a block."""
    answer = await rpc.call("eth_getBlockByNumber", [hex(block), True], JsonTransactions)
    return [
        (transaction.sender, to_number(transaction.nonce))
        for transaction in answer.result.transactions
        if to_number(transaction.type) in ORDINARY_TYPES
    ]


async def _count(rpc: Providers, sender: str, block: int) -> int:
    answer = await rpc.call("eth_getTransactionCount", [sender, hex(block)], str)
    return to_number(answer.result)


def _advice(role: str, address: bytes, reason: str) -> str:
    return (
        f"START_BLOCK=auto: the first block of {role}=0x{address.hex()} cannot be found, since no provider keeps old "
        f"states: {reason}. Set START_BLOCK to the block of its creation, which block explorers show, or to any block "
        "before it; or name an archive node in RPC_URLS."
    )
