"""Facts of two logs of a transaction."""

from typing import NamedTuple

import pytest

from schema.events import Address, DeviceMinted
from schema.profile.errors import ProfileError
from schema.profile.model import load_profile, parse_profile
from schema.profile.reader import UNMAPPED, DecodedLog, Mapped, Undecodable
from tests.support.chain.abi_log import abi_log
from tests.support.chain.devchain import REPOSITORY

FOUNDRY, TITLES = Address(b"f" * 20), Address(b"t" * 20)
ALICE, BOB = Address(b"A" * 20), Address(b"B" * 20)
PATH = REPOSITORY / "tests" / "support" / "chain" / "foundry.toml"
PROFILE = load_profile(str(PATH))
READER = PROFILE.compile({"foundry": [FOUNDRY], "titles": [TITLES]})
ENROLLED = "Enrolled(address indexed device, address owner, bytes32 document)"
ISSUED = "Issued(address indexed owner, uint256 id, string name)"


class Emitted(NamedTuple):
    address: bytes
    topics: bytes
    data: bytes
    transaction_index: int = 0


def enrolled(number: int, owner: bytes = ALICE, transaction: int = 0) -> Emitted:
    return Emitted(FOUNDRY, *abi_log(ENROLLED, bytes([number] * 20), owner, bytes(32)), transaction)


def issued(id: int, owner: bytes = ALICE, transaction: int = 0) -> Emitted:
    return Emitted(TITLES, *abi_log(ISSUED, owner, id, f"SN{id}"), transaction)


def minted(*logs: Emitted) -> list[tuple[int, bytes, str] | None]:
    """Returns id, address and serial number of each mint, None for another log."""
    return [_mint(reading) for reading in READER.read_block(logs, 7)]


def _mint(reading: DecodedLog) -> tuple[int, bytes, str] | None:
    if not isinstance(reading, Mapped):
        return None
    assert isinstance(reading.fact, DeviceMinted)
    assert reading.contracts.device == TITLES
    assert reading.fact.address is not None
    assert reading.fact.serial_number is not None
    return reading.fact.token_id, reading.fact.address[:1], reading.fact.serial_number


def test_the_nth_log_belongs_to_the_nth_joined_one_in_any_order_of_the_two() -> None:
    one, two = (1, b"\x01", "SN1"), (2, b"\x02", "SN2")
    assert minted(issued(1), enrolled(1), issued(2), enrolled(2)) == [None, one, None, two]
    assert minted(issued(1), issued(2), enrolled(1), enrolled(2)) == [None, None, one, two]
    assert minted(enrolled(1), issued(1)) == [one, None]


def test_only_logs_that_are_equal_in_on_and_of_the_same_transaction_belong_together() -> None:
    assert minted(issued(2, BOB), issued(1), enrolled(1), enrolled(2, BOB)) == [
        None,
        None,
        (1, b"\x01", "SN1"),
        (2, b"\x02", "SN2"),
    ]
    assert minted(issued(1, transaction=3), enrolled(1, transaction=4)) == [None, None]


@pytest.mark.parametrize(
    ("logs", "counts"),
    [
        ([enrolled(1)], "1 logs of it and 0"),
        ([issued(1, BOB), enrolled(1)], "1 logs of it and 0"),
        ([issued(1), enrolled(1), enrolled(2)], "2 logs of it and 1"),
        ([issued(1), issued(2), enrolled(1)], "1 logs of it and 2"),
        ([issued(1)._replace(data=b"\x01"), enrolled(1)], "1 logs of it and 0"),
    ],
)
def test_logs_that_cannot_be_paired_are_undecodable_with_the_counts(logs: list[Emitted], counts: str) -> None:
    reading = READER.read_block(logs, 7)[-1]
    assert reading == Undecodable(
        f"Enrolled: the transaction has {counts} of Issued with the same owner, so it is unknown which of them belong "
        "together",
        DeviceMinted,
    )


def test_bytes_that_do_not_fit_are_undecodable_and_other_logs_have_no_joined_fact() -> None:
    short = enrolled(1)._replace(data=b"")
    assert isinstance(READER.read_block([issued(1), short], 7)[1], Undecodable)
    assert READER.read_block([issued(1)], 7) == [UNMAPPED]
    assert [READER.may_join(log) for log in (enrolled(1), issued(1), issued(1)._replace(address=ALICE))] == [
        True,
        True,
        False,
    ]


def test_a_rule_does_not_apply_without_the_contract_of_its_joined_event() -> None:
    reader = load_profile(str(PATH)).compile({"foundry": [FOUNDRY]})
    assert not reader.joins
    assert reader.read_block([enrolled(1)], 7) == [UNMAPPED]


def test_a_history_of_joined_facts_is_complete_only_if_both_contracts_are_watched_from_their_first_block() -> None:
    assert READER.emitters_of(DeviceMinted, TITLES) == {FOUNDRY, TITLES}


JOIN = """[event.join]
contract  = "titles"
signature = "Issued(address indexed owner, uint256 id, string name)"
on        = { owner = "owner" }
"""
REFUSALS = [
    (
        "[event.join]\ncontract  =",
        "[event.join]\nkontract  =",
        "join: unknown key 'kontract'; did you mean 'contract'?",
    ),
    (JOIN, "join = 3\n", "join: expected a table, found 3. Example: join = { contract ="),
    ('signature = "Issued(address indexed owner, uint256 id, string name)"', "", "join: 'signature' is missing"),
    ("uint256 id, string name)", "uint257 id, string name)", "join: signature: unknown type 'uint257'"),
    ('contract  = "titles"\nsignature = "Issued', 'contract  = "ti,tles"\nsignature = "Issued', "is not a role name"),
    ('{ owner = "owner" }', '{ name = "owner" }', "join: on: string name of Issued never equals address owner of Enro"),
    ('{ owner = "owner" }', '{ owners = "owner" }', "join: on: no argument 'owners' in the signature; did you mean"),
    ('{ owner = "owner" }', '{ owner = "owners" }', "join: on: no argument 'owners' in the signature; did you mean"),
    ('{ owner = "owner" }', '"owner"', 'join: on: expected a table, found "owner"'),
    ('"join.id"', '"join.ids"', "no argument 'join.ids' in the signature; did you mean 'join.id'?"),
    ('"join.id"', '"join"', "(address,uint256,string) join is not an id"),
    ("document)", "join)", "an argument of Enrolled is named 'join' too"),
    (
        'token_id      = "join.id"\naddress       = "device"\nserial_number = "join.name"',
        'token_id = { const = 1 }\naddress = "device"',
        "join: no field names a value of Issued. Example: token_id =",
    ),
    (
        JOIN,
        '[event.join]\ncontract = "foundry"\nsignature = "Enrolled(address indexed a, address b, bytes32 c)"\n',
        "join: Enrolled is the event of the rule itself: join another one",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "refusal"), REFUSALS, ids=[refusal for _, _, refusal in REFUSALS])
def test_an_invalid_join_is_refused_with_the_place(right: str, wrong: str, refusal: str) -> None:
    text = PATH.read_text()
    assert right in text
    with pytest.raises(ProfileError) as error:
        parse_profile(text.replace(right, wrong, 1), "mine.toml")
    assert refusal in str(error.value)
    assert str(error.value).startswith("mine.toml: rule 1 (")


def test_the_contract_of_a_joined_event_has_a_role_even_if_no_rule_reads_its_own_logs() -> None:
    text = PATH.read_text()
    alone = parse_profile(text[: text.index("[[event]]", text.index("[event.join]"))], "mine.toml")
    assert alone.roles == ("foundry", "titles")
    assert alone.compile({"foundry": [FOUNDRY], "titles": [TITLES]}).joins
    with pytest.raises(ProfileError, match="unread: the role 'titles' has rules"):
        parse_profile(text.replace('name = "foundry"', 'name = "foundry"\nunread = ["titles"]'), "mine.toml")
