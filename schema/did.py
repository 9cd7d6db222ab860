"""Decentralized identifiers of tokens: `did:erc721:<chainId>:<contract>:<tokenId>`."""

import re
from typing import NamedTuple

from schema.abi.keccak import checksummed

EXAMPLE = f"did:erc721:137:0x{'ab' * 20}:42"

_DID = re.compile("did:erc721:([0-9]{1,19}):0[xX]([0-9a-fA-F]{40}):([0-9]{1,78})", re.ASCII)


class TokenDid(NamedTuple):
    """A token of a contract. Its text has the contract in lower case, as bundles have; `checksummed` as the API has."""

    chain_id: int
    contract: bytes
    token_id: int

    def __str__(self) -> str:
        return f"did:erc721:{self.chain_id}:0x{self.contract.hex()}:{self.token_id}"

    @property
    def checksummed(self) -> str:
        return did_of(*self)


def did_of(chain_id: int, contract: bytes, token_id: int) -> str:
    """Returns the DID of a token as the API writes it."""
    return f"did:erc721:{chain_id}:{checksummed(contract)}:{token_id}"


def parse_did(text: str) -> TokenDid | None:
    """Returns the token that a DID names, None for any other text. The numbers may exceed what a chain can hold."""
    match = _DID.fullmatch(text)
    return None if match is None else TokenDid(int(match[1]), bytes.fromhex(match[2]), int(match[3]))
