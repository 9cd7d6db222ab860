"""START_BLOCK=auto: finds the block in which a contract was created, by a search for code at its address.

A contract that destroyed itself and was created again is found where it was created again. Nodes without old states
refuse, return nothing, or return the newest state for any block. The nonces of old transactions expose the latter.
"""

from msgspec import Struct

from indexer.chain.wire import to_number
from indexer.errors import Stop
from indexer.rpc.errors import RpcError
from indexer.rpc.providers import Providers
from indexer.rpc.refusals import HistoryGone

ORDINARY_TYPES = range(5)
"""Transaction types whose nonce is the sender's. Rollups have other types, whose nonce has no meaning."""
SEARCHED_BLOCKS = 64
"""How far from a block a transaction is searched whose nonce can be compared."""


class JsonTransaction(Struct, rename={"sender": "from"}):
    sender: str
    nonce: str
    type: str = "0x0"


class JsonBlock(Struct):
    """The transactions of a block."""

    transactions: list[JsonTransaction]


async def has_code(providers: Providers, address: bytes, block: str) -> bool:
    """Returns whether the address has code after the block, a number in hex or a tag."""
    answer = await providers.call("eth_getCode", ["0x" + address.hex(), block], str)
    return answer.result not in ("0x", "")


async def find_start_block(providers: Providers, role: str, address: bytes, final: int) -> int:
    """Returns the first block after which the contract has code, or final + 1 if it was created after `final`.

    Raises Stop if there is no contract, or if no provider keeps the states for the search.
    """
    try:
        start = await _search(providers, role, address, final)
        old_block = start - 1 if start else final // 2
        is_kept = start > final or await _is_state_kept(providers, old_block, final)
    except RpcError as error:
        if isinstance(error.refusal, HistoryGone):
            raise Stop(_advice(role, address, str(error))) from None
        raise
    if not is_kept:
        raise Stop(_advice(role, address, f"the state returned for block {old_block} is not that block's"))
    return start


async def _search(providers: Providers, role: str, address: bytes, final: int) -> int:
    if not await has_code(providers, address, hex(final)):
        if not await has_code(providers, address, "latest"):
            raise Stop(
                f"START_BLOCK=auto: there is no contract at {role}=0x{address.hex()}. Correct CONTRACTS. If the "
                f"contract is not deployed yet, or was destroyed, set START_BLOCK. Example: START_BLOCK={final + 1}"
            )
        return final + 1  # its exact block is not final yet
    absent, present = -1, final
    while present - absent > 1:
        middle = (absent + present) // 2
        if await has_code(providers, address, hex(middle)):
            present = middle
        else:
            absent = middle
    return present


async def _is_state_kept(providers: Providers, block: int, final: int) -> bool:
    """Returns whether nonces after a block fit the transactions next to it: if not, the state is of another block.

    Returns True if no transaction is near.
    """
    for number in range(block, max(block - SEARCHED_BLOCKS, 0), -1):
        if nonces := await _nonces(providers, number):
            sender, nonce = nonces[-1]
            if await _count(providers, sender, block) <= nonce:
                return False
            break
    for number in range(block + 1, min(block + SEARCHED_BLOCKS, final + 1)):
        if nonces := await _nonces(providers, number):
            sender, nonce = nonces[0]
            return await _count(providers, sender, block) <= nonce
    return True


async def _nonces(providers: Providers, block: int) -> list[tuple[str, int]]:
    """Returns sender and nonce of each ordinary transaction in a block."""
    answer = await providers.call("eth_getBlockByNumber", [hex(block), True], JsonBlock)
    return [
        (transaction.sender, to_number(transaction.nonce))
        for transaction in answer.result.transactions
        if to_number(transaction.type) in ORDINARY_TYPES
    ]


async def _count(providers: Providers, sender: str, block: int) -> int:
    answer = await providers.call("eth_getTransactionCount", [sender, hex(block)], str)
    return to_number(answer.result)


def _advice(role: str, address: bytes, reason: str) -> str:
    return (
        f"START_BLOCK=auto: the first block of {role}=0x{address.hex()} cannot be found, since no provider keeps old "
        f"states: {reason}. Set START_BLOCK to the block of its creation, which block explorers show, or to any block "
        "before it; or set an archive node in RPC_URLS."
    )
