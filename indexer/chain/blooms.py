"""Chains whose headers have wrong blooms. TRUST_BLOOM overrides this list."""

FILECOIN = "all bits are set in each block with transactions (lotus, chain/types/ethtypes, NewEthBlock)"
SEI = "the bloom differs from that of the block's logs (sei-protocol/sei-chain, issue 2230)"
ZKSYNC = "blocks without transactions have bits (matter-labs/zksync-era, issue 4580)"

WRONG_BLOOMS = {
    314: FILECOIN,
    314159: FILECOIN,  # Calibration
    1328: SEI,  # Atlantic
    1329: SEI,
    300: ZKSYNC,  # Sepolia
    324: ZKSYNC,
}
"""What is wrong with the blooms, and the source, by chain id."""


def trusts_bloom(chain_id: int, setting: bool | None) -> bool:
    """Returns TRUST_BLOOM if it is set, else True unless the chain is known for wrong blooms."""
    return chain_id not in WRONG_BLOOMS if setting is None else setting
