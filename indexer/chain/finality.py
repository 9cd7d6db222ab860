"""Finality depths: how many blocks below the head a block counts as final on each network.

They apply if no node knows the `finalized` tag. Each number is cautious: at or above what the named
source says. FINALITY_DEPTH overrides it. Networks whose blocks are final at once have the default.
"""

DEFAULT_DEPTH = 64

ETHEREUM = 96
"""Three epochs of 32 slots (consensus-specs, presets/mainnet): late in an epoch, the final block is nearly that old."""

GNOSIS = 48
"""Three epochs of 16 slots (docs.gnosischain.com/about/networks/mainnet)."""

POLYGON = 512
"""About one checkpoint on Ethereum (PIP-11). The tag follows milestones, which are quicker."""

BNB = 240
"""Without fast finality a majority of 21 validators, each with turns of 8 blocks (docs.bnbchain.org, "Finality API"):
fifteen of them take 120 blocks. Doubled, since turns have become longer before."""

ETHEREUM_CLASSIC = 10_000
"""Proof of work: 3,693 blocks were reorganized on 1 August 2020 (bitquery.io, "Ethereum Classic 51% Chain Attack")."""

ROLLUP_SECONDS = 3_600
"""Final when the data is in a final block of Ethereum: 20 to 30 minutes (ethereum-optimism/docs, transaction-finality),
minutes once the batch is posted (docs.arbitrum.io, orbit-chain-finality). An hour, for days of late batches."""

FINALITY_DEPTHS: dict[int, int] = {
    1: ETHEREUM,
    10: ROLLUP_SECONDS // 2,  # OP Mainnet: blocks of 2 s
    56: BNB,
    61: ETHEREUM_CLASSIC,
    100: GNOSIS,
    137: POLYGON,
    1101: ROLLUP_SECONDS,  # Polygon zkEVM: no source found
    8453: ROLLUP_SECONDS // 2,  # Base: as OP Mainnet
    42161: ROLLUP_SECONDS * 4,  # Arbitrum One: blocks of a quarter of a second
    42220: ROLLUP_SECONDS,  # Celo: on the OP Stack since March 2025, blocks of 1 s (docs.celo.org/specs/deployments)
    59144: ROLLUP_SECONDS * 8,  # Linea: 1 s (docs.linea.build, "Transaction finality"); its proofs take longer
    80002: POLYGON,  # Amoy
    84532: ROLLUP_SECONDS // 2,  # Base Sepolia
    421614: ROLLUP_SECONDS * 4,  # Arbitrum Sepolia
    11155111: ETHEREUM,  # Sepolia
    11155420: ROLLUP_SECONDS // 2,  # OP Sepolia
}
"""Blocks below the head, by chain id."""


def finality_depth(chain_id: int) -> int:
    """Returns how many blocks below the head a block counts as final on a network without the `finalized` tag."""
    return FINALITY_DEPTHS.get(chain_id, DEFAULT_DEPTH)
