"""Factories of a profile: which are valid, and which contracts their logs create."""

import pytest

from schema.events import Address
from schema.profile.errors import ProfileError
from schema.profile.factories import Creation
from schema.profile.joins import EmittedLog
from schema.profile.model import parse_profile
from schema.tables.rows import EventLog
from tests.support.chain.abi_log import abi_log

FOUNDRY, PLANT = Address(b"f" * 20), Address(b"p" * 20)
TEXT = """name = "mine"

[[factory]]
contract = "foundry"
signature = "Opened(uint256 indexed number, (address at, bool real) plant)"
creates = "plant"
address = "plant.at"
where = { number = 7, "plant.real" = true }

[[event]]
contract = "plant"
signature = "Made(uint256 indexed unit, address by)"
fact = "DeviceMinted"
fields = { token_id = "unit" }

[[event]]
contract = "registry"
signature = "Checked(address indexed plant, uint256 unit, bool passed)"
fact = "TestRecorded"
fields = { token_id = "unit", kind = { const = "QUALITY" }, passed = "passed" }
"""
MADE = 'signature = "Made(uint256 indexed unit, address by)"\nfact = "DeviceMinted"\nfields = { token_id = "unit" }'


def opened(number: int, real: bool) -> EmittedLog:
    topics, data = abi_log("Opened(uint256 indexed number, (address at, bool real) plant)", number, (PLANT, real))
    return EventLog(0, FOUNDRY, topics, data, bytes(32), 0, None)


def test_a_factory_creates_the_contract_that_its_event_names_if_the_condition_holds() -> None:
    profile = parse_profile(TEXT, "mine.toml")
    assert profile.roles == ("plant", "registry", "foundry")
    factories = profile.compile_factories({"foundry": [FOUNDRY]})
    assert factories.creation(opened(7, True)) == Creation("plant", PLANT, whole=False)
    assert factories.creation(opened(7, False)) is None
    assert factories.creation(opened(8, True)) is None
    assert profile.compile_factories({"foundry": [PLANT]}).creation(opened(7, True)) is None


def test_the_logs_of_a_contract_are_read_from_a_block_on() -> None:
    reader = parse_profile(TEXT, "mine.toml").compile({"plant": [PLANT]}, {PLANT: 5})
    log = (PLANT, *abi_log("Made(uint256 indexed unit, address by)", 1, bytes(20)))
    assert [type(reader.read(*log, block)).__name__ for block in (4, 5)] == ["Unmapped", "Mapped"]


REFUSALS = [
    ("[[factory]]\n", "[factory]\n", "factory: each factory begins with a line [[factory]]"),
    ('creates = "plant"', 'kreates = "plant"', "factory 1: unknown key 'kreates'; did you mean 'creates'?"),
    ('creates = "plant"', "", "factory 1: 'creates' is missing"),
    ('creates = "plant"', 'creates = "plants"', "factory 1: creates is the role 'plants', which no rule has; did you"),
    ('address = "plant.at"', "", "factory 1: address: arg is None, expected the name of an argument"),
    ('address = "plant.at"', 'address = "plant.on"', "factory 1: address: no argument 'plant.on' in the signature"),
    ('address = "plant.at"', 'address = "number"', "factory 1: address: uint256 number is not an address"),
    ("number = 7", "numbers = 7", "factory 1: where: no argument 'numbers' in the signature"),
    ("number = 7", '"plant.at" = "@registry"', "factory 1: where: a factory takes values alone"),
    ('address = "plant.at"', 'address = "plant.at"\nwhole = 1', "'whole' is 1, expected true or false"),
    ('contract = "foundry"', 'contract = "a b"', 'factory 1: "a b" is not a role name'),
    ("Opened(uint256 indexed", "Opened(uint257 indexed", "factory 1: signature: unknown type 'uint257'"),
    (
        'passed = "passed" }',
        'passed = "passed" }\nwhere = { plant = "@plant" }',
        "'where' names the role 'plant', which factory 1 (Opened) fills: it must be known beforehand",
    ),
    ('passed = "passed" }', 'passed = "passed" }\nwhere = { plant = "!@" }', '"!@" is the address of no watched'),
    ('passed = "passed" }', 'passed = "passed" }\ntoken = "plant"', "'token' names the role 'plant', which factory 1"),
    (MADE, f'{MADE}\ntoken = "registry"', "DeviceMinted decides about tokens of other contracts"),
    (
        MADE,
        'signature = "Licensed(uint256 id, address to)"\nfact = "LicenseMinted"\n'
        'fields = { license_id = "id", account = "to" }',
        "LicenseMinted decides about tokens of other contracts, and 'plant' is a role which factory 1 (Opened) fills",
    ),
    (
        'passed = "passed" }',
        'passed = "join.unit" }\n[event.join]\ncontract = "plant"\nsignature = "Passed(bool unit)"',
        "'join' names the role 'plant', which factory 1 (Opened) fills",
    ),
    (
        'name = "mine"',
        'name = "mine"\n[[call]]\ncontract = "plant"\nfunction = "ownerOf(uint256 id) returns (address)"\n'
        'tells = "owner"',
        "call 1: the role 'plant' is one which factory 1 (Opened) fills: a call needs one address",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "refusal"), REFUSALS, ids=[refusal for _, _, refusal in REFUSALS])
def test_an_invalid_factory_is_refused_with_the_place(right: str, wrong: str, refusal: str) -> None:
    assert right in TEXT
    with pytest.raises(ProfileError) as error:
        parse_profile(TEXT.replace(right, wrong, 1), "mine.toml")
    assert str(error.value).startswith("mine.toml: ")
    assert refusal in str(error.value)
