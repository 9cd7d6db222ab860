"""The certificate as an ERC-721 token."""

import pytest

from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.factory import BASE_URI, ZERO_ADDRESS, Artifact, Contract, Factory, Refused, compile_solidity

RECEIVED = bytes.fromhex("150b7a02")  # onERC721Received's selector


@pytest.fixture(scope="module")
def receiver() -> Artifact:
    compiled = compile_solidity(REPOSITORY / "tests" / "support" / "chain" / "Receiver.sol")
    return Artifact(tuple(compiled["abi"]), compiled["bytecode"])


@pytest.mark.parametrize(
    ("interface", "supported"),
    [("01ffc9a7", True), ("80ac58cd", True), ("5b5e139f", True), ("ffffffff", False), ("780e9d63", False)],
)
def test_the_contract_says_which_interfaces_it_has(factory: Factory, interface: str, supported: bool) -> None:
    assert factory.call("supportsInterface", bytes.fromhex(interface)) is supported


def test_the_token_has_a_name_a_symbol_and_a_uri(factory: Factory) -> None:
    for number in range(1, 11):
        factory.mint(number=number)
    assert (factory.call("name"), factory.call("symbol")) == ("Device Certificate", "DEVICE")
    assert [factory.call("tokenURI", token) for token in (1, 10)] == [f"{BASE_URI}1", f"{BASE_URI}10"]


def test_the_permissions_and_codes_are_named(factory: Factory) -> None:
    names = "READ", "UPDATE_FIRMWARE", "RESET", "MANAGE_USERS", "SUCCEEDED", "DECOMMISSIONED", "RECYCLED", "DISPOSED"
    assert [factory.call(name) for name in names] == [1, 2, 4, 8, 0, 1, 2, 3]


def test_a_transfer_moves_the_token_and_clears_its_approval(factory: Factory) -> None:
    token = factory.mint()
    factory.send("approve", factory.user, token)
    receipt = factory.send("transferFrom", factory.owner, factory.stranger, token)
    assert factory.events(receipt) == [("Transfer", {"from": factory.owner, "to": factory.stranger, "tokenId": token})]
    assert factory.call("ownerOf", token) == factory.stranger
    assert factory.call("getApproved", token) == ZERO_ADDRESS
    assert [factory.call("balanceOf", who) for who in (factory.owner, factory.stranger)] == [0, 1]


def test_an_approved_account_transfers_once(factory: Factory) -> None:
    token = factory.mint()
    receipt = factory.send("approve", factory.user, token)
    approval = {"owner": factory.owner, "approved": factory.user, "tokenId": token}
    assert factory.events(receipt) == [("Approval", approval)]
    assert factory.call("getApproved", token) == factory.user
    factory.send("transferFrom", factory.owner, factory.stranger, token, sender=factory.user)
    with pytest.raises(Refused, match="NotApproved"):
        factory.send("transferFrom", factory.stranger, factory.user, token, sender=factory.user)


def test_an_operator_acts_for_the_owner_until_it_is_dismissed(factory: Factory) -> None:
    first, second = factory.mint(number=1), factory.mint(number=2)
    receipt = factory.send("setApprovalForAll", factory.user, True)
    approval = {"owner": factory.owner, "operator": factory.user, "approved": True}
    assert factory.events(receipt) == [("ApprovalForAll", approval)]
    factory.send("approve", factory.stranger, second, sender=factory.user)
    factory.send("transferFrom", factory.owner, factory.stranger, first, sender=factory.user)
    factory.send("setApprovalForAll", factory.user, False)
    assert not factory.call("isApprovedForAll", factory.owner, factory.user)
    with pytest.raises(Refused, match="NotApproved"):
        factory.send("burn", second, sender=factory.user)


def test_a_burn_leaves_the_record_and_frees_the_address(factory: Factory) -> None:
    token = factory.mint()
    device = factory.read("certificate", token)["device"]
    factory.send("authorizeUser", token, factory.user, "Fleet AG", 1, 0)
    receipt = factory.send("burn", token)
    assert factory.events(receipt) == [("Transfer", {"from": factory.owner, "to": ZERO_ADDRESS, "tokenId": token})]
    assert factory.read("certificate", token)["device"] == device
    assert (factory.call("tokenOf", device), factory.call("balanceOf", factory.owner)) == (0, 0)
    assert [factory.call("isAuthorized", token, who) for who in (factory.owner, ZERO_ADDRESS)] == [False, False]
    assert factory.call("isAuthorized", token, factory.user)  # a transfer ends no grant
    assert factory.mint(serial_number="SN-AGAIN") == 2


def test_a_safe_transfer_reaches_accounts_and_willing_contracts(factory: Factory, receiver: Artifact) -> None:
    token = factory.mint()
    willing = Contract.deploy(factory.chain, receiver, RECEIVED)
    factory.send("safeTransferFrom(address,address,uint256)", factory.owner, factory.user, token)
    with_data = "safeTransferFrom(address,address,uint256,bytes)"
    factory.send(with_data, factory.user, willing.address, token, b"note", sender=factory.user)
    assert factory.call("ownerOf", token) == willing.address


@pytest.mark.parametrize("answer", [bytes(4), bytes.fromhex("deadbeef")])
def test_a_safe_transfer_refuses_a_contract_that_does_not_receive(
    factory: Factory, receiver: Artifact, answer: bytes
) -> None:
    unwilling = Contract.deploy(factory.chain, receiver, answer)
    token = factory.mint()
    with pytest.raises(Refused) as refused:
        factory.send("safeTransferFrom", factory.owner, unwilling.address, token)
    assert (refused.value.name, refused.value.arguments) == ("UnsafeRecipient", (unwilling.address,))
