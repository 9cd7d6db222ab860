"""The calls of a profile: calldata and return values as eth-abi encodes them, and errors with their place."""

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from schema.profile.calls import CallField, CompiledCall
from schema.profile.errors import ProfileError
from schema.profile.model import load_profile, parse_profile
from tests.support.profile import PROFILE

OWNER = """
[[call]]
contract = "certificate"
function = "ownerOf(uint256 tokenId) returns (address)"
tells = "owner"
"""
PARENT = """
[[call]]
contract = "certificate"
function = "function parentOf(address proxy, uint256 id) returns (uint256 parent)"
arguments = ["@certificate", "id"]
tells = "manufacturer"
"""
NAME = OWNER.replace("ownerOf(uint256 tokenId) returns (address)", "nameOf(uint256 id) returns (string)").replace(
    "owner", "manufacturer_name"
)
AT = b"\xce" * 20


def call(text: str, field: CallField) -> CompiledCall:
    return parse_profile(PROFILE + text, "mine.toml").compile({"certificate": [AT]}).calls[field]


def test_calldata_is_what_eth_abi_encodes() -> None:
    parent = call(PARENT, CallField.MANUFACTURER)
    expected = keccak(text="parentOf(address,uint256)")[:4] + encode(["address", "uint256"], [AT, 2**256 - 1])
    assert (parent.to, parent.data(2**256 - 1)) == (AT, expected)
    assert call(OWNER, CallField.OWNER).data(7) == keccak(text="ownerOf(uint256)")[:4] + encode(["uint256"], [7])


@pytest.mark.parametrize(
    ("text", "field", "kind", "value", "expected"),
    [
        (OWNER, CallField.OWNER, "address", AT, AT),
        (OWNER, CallField.OWNER, "address", bytes(20), None),
        (PARENT, CallField.MANUFACTURER, "uint256", 2**256 - 1, 2**256 - 1),
        (PARENT, CallField.MANUFACTURER, "uint256", 0, None),
        (NAME, CallField.MANUFACTURER_NAME, "string", "Acme", "Acme"),
        (NAME, CallField.MANUFACTURER_NAME, "string", "", None),
    ],
)
def test_a_result_is_a_value_or_none(text: str, field: CallField, kind: str, value: object, expected: object) -> None:
    assert call(text, field).value(encode([kind], [value])) == expected


@pytest.mark.parametrize("result", [b"", b"\xff" * 32, b"\x01" * 31])
def test_a_result_that_does_not_fit_is_none(result: bytes) -> None:
    assert call(OWNER, CallField.OWNER).value(result) is None


def test_a_claim_that_is_false_is_a_value() -> None:
    claimed = OWNER.replace("returns (address)", "returns (bool)").replace('"owner"', '"claimed"')
    assert call(claimed, CallField.CLAIMED).value(bytes(32)) is False


def test_a_call_whose_contract_has_no_address_cannot_be_made() -> None:
    profile = load_profile("dimo")
    devices = {role: [address] for role, address in (("aftermarket_device", AT), ("manufacturer", b"\x01" * 20))}
    assert set(profile.compile(devices).calls) == {CallField.OWNER}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (OWNER.replace("certificate", "vault"), "call 1: unknown role 'vault'"),
        (OWNER.replace('"owner"', '"colour"'), 'call 1: tells is "colour"'),
        (OWNER.replace("returns (address)", ""), "call 1: function is"),
        (
            OWNER.replace("returns (address)", "returns (uint256)"),
            'tells = "owner" needs a function that returns one address',
        ),
        (
            OWNER.replace("returns (address)", "returns (address, bool)"),
            'tells = "owner" needs a function that returns one address',
        ),
        (OWNER.replace("uint256 tokenId", "uint257 tokenId"), "call 1: function:"),
        (OWNER + 'arguments = ["id", "id"]', "expected a list of 1"),
        (OWNER + 'arguments = ["@certificate"]', 'the argument "@certificate" does not fit uint256'),
        (PARENT.replace('"@certificate", "id"', '"id", "id"'), 'the argument "id" does not fit address'),
        (PARENT + 'manufacturer = "makers"', "call 1: unknown role 'makers'"),
        (OWNER + OWNER, 'call 2: an earlier call has tells = "owner"'),
        (OWNER + 'colour = "red"', "call 1: unknown key 'colour'"),
        ("[call]\nx = 1\n", "each call begins with a line [[call]]"),
    ],
)
def test_an_invalid_call_is_refused_with_the_place(text: str, refusal: str) -> None:
    with pytest.raises(ProfileError) as error:
        parse_profile(PROFILE + text, "mine.toml")
    assert str(error.value).startswith("mine.toml: ")
    assert refusal in str(error.value)


@pytest.mark.parametrize(
    ("bits", "refusal"), [("0", "permission_bits is 0"), ('"two"', 'permission_bits is "two"'), ("true", "is true")]
)
def test_the_bits_of_a_permission_are_a_number(bits: str, refusal: str) -> None:
    with pytest.raises(ProfileError, match=refusal):
        parse_profile(PROFILE.replace('"never"', f'"never"\npermission_bits = {bits}', 1), "mine.toml")
