import pytest

from schema.abi.keccak import all_checksummed, checksummed

# the examples of EIP-55
CHECKSUMMED = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


def test_addresses_are_checksummed_together_as_alone() -> None:
    addresses = [bytes.fromhex(text[2:]) for text in CHECKSUMMED]
    assert all_checksummed(addresses) == list(map(checksummed, addresses)) == CHECKSUMMED
    assert all_checksummed([]) == []


def test_an_address_of_another_length_is_refused() -> None:
    for length in (0, 19, 21):
        with pytest.raises(ValueError, match="20 bytes"):
            all_checksummed([bytes(20), bytes(length)])
