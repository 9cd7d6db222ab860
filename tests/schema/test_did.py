"""A DID names one token, however its address is written; other text names none."""

import pytest

from schema.did import EXAMPLE, TokenDid, parse_did

CONTRACT = bytes.fromhex("9c94c395cbcbde662235e0a9d3bb87ad708561ba")
TOKEN = TokenDid(137, CONTRACT, 42)
LOWER = "did:erc721:137:0x9c94c395cbcbde662235e0a9d3bb87ad708561ba:42"
CHECKSUMMED = "did:erc721:137:0x9c94C395cBcBDe662235E0A9d3bB87Ad708561BA:42"


def test_a_did_is_written_in_lower_case_and_with_a_checksum() -> None:
    assert (str(TOKEN), TOKEN.checksummed) == (LOWER, CHECKSUMMED)


@pytest.mark.parametrize("text", [LOWER, CHECKSUMMED, LOWER.replace("0x", "0X")])
def test_a_did_is_read_in_any_case(text: str) -> None:
    assert parse_did(text) == TOKEN


def test_the_largest_numbers_are_read() -> None:
    assert parse_did(str(TokenDid(2**63 - 1, CONTRACT, 2**256 - 1))) == TokenDid(2**63 - 1, CONTRACT, 2**256 - 1)
    assert parse_did(EXAMPLE) is not None


@pytest.mark.parametrize(
    "text",
    ["", "42", LOWER[:-3], LOWER + "\n", LOWER.replace("erc721", "erc1155"), LOWER.replace("0x", ""), LOWER + "1" * 78],
)
def test_other_text_is_no_did(text: str) -> None:
    assert parse_did(text) is None
