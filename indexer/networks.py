"""What is known of networks: when a block is final where the chain itself does not say so."""

DEFAULT_DEPTH = 64

FINALITY_DEPTHS: dict[int, int] = {
    1: 64,  # Ethereum: two epochs
    10: 1_800,  # OP Mainnet: an hour of 2 s blocks, until Ethereum has made the batch final
    56: 15,  # BNB Smart Chain: two thirds of the validators
    61: 10_000,  # Ethereum Classic: proof of work, reorgs of thousands of blocks have been mined
    100: 32,  # Gnosis: two epochs
    137: 500,  # Polygon: reorgs of more than a hundred blocks have been seen
    250: 1,  # Fantom: final at once
    1101: 500,  # Polygon zkEVM
    8453: 1_800,  # Base, as OP Mainnet
    42161: 3_600,  # Arbitrum One: 15 minutes of quarter-second blocks
    42220: 1,  # Celo
    43113: 1,  # Avalanche Fuji
    43114: 1,  # Avalanche C-Chain: what is accepted is final
    59144: 1_800,  # Linea
    80002: 500,  # Polygon Amoy
    84532: 1_800,  # Base Sepolia
    421614: 3_600,  # Arbitrum Sepolia
    11155111: 64,  # Sepolia
    11155420: 1_800,  # OP Sepolia
}
"""Blocks below the head by chain id: used where a node knows no `finalized` tag, and on the safe side of it."""


def finality_depth(chain_id: int) -> int:
    """Returns how many blocks below the head count as final on a network, where its nodes know no such tag."""
    return FINALITY_DEPTHS.get(chain_id, DEFAULT_DEPTH)
