"""Rules whose events name a device by its address: what is read, and what a profile may not say."""

import pytest

from schema.events import Address, EndOfLifeRecorded, TestRecorded
from schema.profile.errors import ProfileError
from schema.profile.model import load_profile, parse_profile
from schema.profile.reader import Mapped, MappedItems
from schema.vocabulary import EndOfLifeProcess
from tests.support.chain.abi_log import abi_log
from tests.support.chain.devchain import REPOSITORY

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "roster.toml"))
ROSTER, FLEET = b"r" * 20, b"f" * 20
DEVICE, OTHER = Address(bytes([1] * 20)), Address(bytes([2] * 20))
READER = PROFILE.compile({"roster": [ROSTER], "fleet": [FLEET]})


def test_the_token_of_a_fact_is_an_address_until_it_is_folded() -> None:
    removed = READER.read(ROSTER, *abi_log("Removed(address indexed device)", DEVICE), 1)
    assert isinstance(removed, Mapped)
    assert removed.fact == EndOfLifeRecorded(
        token_id=int.from_bytes(DEVICE, "big"), process=EndOfLifeProcess.DECOMMISSIONED
    )
    assert (removed.contracts.by_address, removed.contracts.device) == (True, ROSTER)
    tested = READER.read(
        ROSTER, *abi_log("Tested(address[] devices, bool[] passed)", [DEVICE, OTHER], [True, False]), 1
    )
    assert isinstance(tested, MappedItems)
    assert tested.contracts.by_address
    assert [fact.token_id for fact in tested.facts if isinstance(fact, TestRecorded)] == [
        int.from_bytes(device, "big") for device in (DEVICE, OTHER)
    ]


MINT = """
[[event]]
contract = "roster"
signature = "Made(uint256 id, address device)"
fact = "DeviceMinted"
fields = { token_id = "id", address = "device" }
"""


def noted(fields: str, fact: str = "DeviceAttributeSet", more: str = "") -> str:
    return f"""
[[event]]
contract = "roster"
signature = "Noted(address indexed device, string text, uint256 number, (address device) unit)"
fact = "{fact}"
fields = {{ {fields} }}
{more}
"""


ATTRIBUTE = 'attribute = { const = "note" }, value = "text"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MINT + noted(f'token_id = {{ address = "text" }}, {ATTRIBUTE}'),
            "field 'token_id': string text is not an addr",
        ),
        (MINT + noted(f'token_id = {{ address = "number" }}, {ATTRIBUTE}'), "uint256 number is not an address"),
        (MINT + noted(f'token_id = {{ address = "devise" }}, {ATTRIBUTE}'), "no argument 'devise' .* mean 'device'"),
        (
            MINT + noted(f'token_id = {{ address = "device", arg = "number" }}, {ATTRIBUTE}'),
            "an address takes neither arg nor const",
        ),
        (
            MINT + noted('token_id = "number", vehicle_id = { address = "device" }', "DevicePaired"),
            "field 'vehicle_id': an address names a device, which is token_id: write vehicle_id = \"argument\"",
        ),
        (
            noted('token_id = { address = "device" }, address = "device"', "DeviceMinted"),
            "DeviceMinted begins a device, so no device has its address yet: name the token",
        ),
        (
            MINT.replace(', address = "device"', "") + noted(f'token_id = {{ address = "device" }}, {ATTRIBUTE}'),
            "no rule sets the addresses of the devices of 'roster': set 'address' in a rule for one of DeviceMinted, ",
        ),
        (
            MINT + noted(f'token_id = {{ address = "device" }}, {ATTRIBUTE}').replace("roster", "registry"),
            "no rule sets the addresses of the devices of 'registry': .* such as token = ",
        ),
    ],
)
def test_wrong_use_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        parse_profile(f'name = "mine"\n{text}', "mine.toml")


def test_an_address_may_be_a_component_of_a_tuple_and_of_a_joined_log() -> None:
    fields = noted(f'token_id = {{ address = "unit.device" }}, {ATTRIBUTE}')
    joined = noted(
        f'token_id = {{ address = "join.device" }}, {ATTRIBUTE}',
        more='join = { contract = "roster", signature = "Made(uint256 id, address device)" }',
    )
    for text in (fields, joined):
        assert parse_profile(f'name = "mine"\n{MINT}{text}', "mine.toml").rules[1].by_address


def test_a_profile_without_such_rules_says_so() -> None:
    assert READER.names_by_address
    assert not load_profile("dimo").compile({}).names_by_address
