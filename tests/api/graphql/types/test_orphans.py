"""Events that a reorg took back, and whether a transaction is in the chain."""

from dataclasses import replace
from typing import Any

from tests.support.api.feeding import BUYER, OWNER, Api, Json, Moving, asking, minted, sold, updated
from tests.support.chain.fakechain import Log, emitted, new_transaction

ORPHANS = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: LifecycleEventFilter) {
  orphanedEvents(first: $first, after: $after, last: $last, before: $before, filterBy: $filter) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { orphanedAt replacedBy { number hash finality }
      event { id kind finality verification device { tokenId } block { number hash finality } raw { data } } } } } }"""

TRANSACTION = """query ($hash: Bytes32!, $chainId: BigInt) { transaction(hash: $hash, chainId: $chainId) {
  hash chainId index block { number hash finality } events(first: 1) {
    totalCount pageInfo { hasNextPage endCursor } nodes { kind transactionIndex } } } }"""


async def orphaned(own_api: Api, **variables: Any) -> Any:
    return (await own_api.ask(ORPHANS, **variables))["orphanedEvents"]


def kinds(page: Json) -> list[str]:
    return [edge["node"]["event"]["kind"] for edge in page["edges"]]


async def test_what_a_reorg_removed_is_returned_latest_first_with_its_replacement(moving: Moving, own_api: Api) -> None:
    assert (await orphaned(own_api))["totalCount"] == 0
    await moving.mine(*minted(1))
    lost = await moving.mine(updated(1), sold(1))
    before = (await own_api.ask("{ lifecycleEvents(last: 1) { nodes { id raw { data } } } }"))["lifecycleEvents"][
        "nodes"
    ]
    await moving.reorg(1, [updated(1, "5.0.0")])
    page = await orphaned(own_api)
    assert page["totalCount"] == 2
    assert kinds(page) == ["DEVICE_TRANSFERRED", "FIRMWARE_UPDATED"]
    event = page["edges"][0]["node"]["event"]
    assert {"id": event["id"], "raw": event["raw"]} == before[0]
    assert (event["finality"], event["verification"], event["device"]) == ("ORPHANED", "RPC", {"tokenId": "1"})
    assert event["block"] == {"number": "2", "hash": "0x" + lost.hash.hex(), "finality": "ORPHANED"}
    now = page["edges"][0]["node"]["replacedBy"]
    assert now == {"number": "2", "hash": "0x" + moving.node.head.hash.hex(), "finality": "UNSAFE"}


async def test_a_shorter_branch_replaces_nothing_above_its_head(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1))
    moving.node.reorg(2, [], same_length=False)
    await moving.indexer.catch_up()
    newest = (await orphaned(own_api))["edges"][0]["node"]
    assert (newest["event"]["block"]["number"], newest["replacedBy"]) == ("2", None)


async def test_pages_of_what_was_taken_back_go_both_ways_and_outlive_further_reorgs(
    moving: Moving, own_api: Api
) -> None:
    await moving.mine(*minted(1))
    for number in range(3):
        await moving.mine(updated(1, f"{number}.0.0"), updated(1, f"{number}.5.0"))
        await moving.reorg(1, [])
    whole = await orphaned(own_api)
    ids = [edge["node"]["event"]["id"] for edge in whole["edges"]]
    assert len(ids) == 6
    first = await orphaned(own_api, first=2)
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    await moving.mine(sold(1))
    await moving.reorg(1, [])
    second = await orphaned(own_api, first=3, after=first["pageInfo"]["endCursor"])
    rest = await orphaned(own_api, first=3, after=second["pageInfo"]["endCursor"])
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert [edge["node"]["event"]["id"] for page in (first, second, rest) for edge in page["edges"]] == ids
    back = await orphaned(own_api, last=2, before=rest["pageInfo"]["startCursor"])
    assert [edge["cursor"] for edge in back["edges"]] == [edge["cursor"] for edge in second["edges"][1:]]
    assert (back["pageInfo"]["hasNextPage"], back["pageInfo"]["hasPreviousPage"]) == (True, True)
    newest = await orphaned(own_api, last=9, before=first["pageInfo"]["startCursor"])
    assert (kinds(newest), newest["pageInfo"]["hasPreviousPage"]) == (["DEVICE_TRANSFERRED"], False)
    oldest = await orphaned(own_api, last=1)
    assert oldest["edges"][0]["node"]["event"]["id"] == ids[-1]


FILTERS: list[tuple[dict[str, Any], int]] = [
    ({}, 5),
    ({"kind": {"eq": "FIRMWARE_UPDATED"}}, 2),
    ({"kind": {"eq": "UNMAPPED"}}, 1),
    ({"device": {"tokenId": {"eq": "1"}}}, 2),
    ({"device": {"tokenId": {"eq": "2"}}}, 2),
    ({"device": {"owner": {"eq": OWNER}}}, 2),
    ({"device": {"owner": {"eq": BUYER}}}, 0),
    ({"manufacturerId": {"eq": "4"}}, 1),
    ({"manufacturerId": {"ne": "4"}}, 4),
    ({"hardwareLicenseId": {"isNull": False}}, 0),
    ({"finality": {"eq": "ORPHANED"}}, 5),
    ({"finality": {"in": ["SAFE", "UNSAFE"]}}, 0),
    ({"verification": {"eq": "RPC"}}, 5),
    ({"verification": {"eq": "RECEIPTS"}}, 0),
    ({"block": {"gte": "3"}}, 1),
    ({"block": {"lt": "3"}}, 4),
    ({"action": {"eq": "ADD"}}, 1),
    ({"bizStep": {"isNull": True}}, 1),
    ({"disposition": {"eq": "active"}}, 1),
    ({"recordTime": {"gte": "2023-11-14T22:13:56Z"}}, 1),
    ({"flag": {"any": False}}, 4),
    ({"flag": {"eq": "UNLICENSED"}}, 1),
    ({"contract": {"eq": "0x5FbDB2315678afecb367f032d93F642f64180aa3"}}, 5),
    ({"chainId": {"eq": "1"}}, 0),
    ({"eventTime": {"isNull": False}}, 3),
    ({"not": {"device": {"tokenId": {"eq": "2"}}}}, 3),
    ({"and": [{"kind": {"eq": "FIRMWARE_UPDATED"}}, {"or": [{"block": {"eq": "3"}}]}]}, 1),
]


async def test_every_filter_of_events_applies_to_orphaned_events(moving: Moving, own_api: Api) -> None:
    approved = emitted("Approval", owner=OWNER, approved=BUYER, tokenId=1)
    licensed = emitted("ManufacturerLicensed", manufacturerId=4, account=OWNER, name="Acme")
    update = emitted("FirmwareUpdated", tokenId=1, toVersion="2.0.0", appliedAt=1_700_000_000)
    await moving.mine(*minted(1))
    await moving.mine(update, *minted(2, manufacturerId=4), licensed, approved)
    await moving.mine(emitted("FirmwareUpdated", tokenId=1, toVersion="3.0.0", appliedAt=1_700_000_001))
    await moving.reorg(2, [], [])
    for wish, expected in FILTERS:
        page = await orphaned(own_api, filter=wish)
        assert (page["totalCount"], len(page["edges"])) == (expected, expected), (wish, kinds(page))


async def test_orphaned_events_are_filtered_by_the_owner_of_their_manufacturer(moving: Moving, own_api: Api) -> None:
    licensed = emitted("ManufacturerLicensed", manufacturerId=4, account=OWNER, name="Acme")
    await moving.mine(licensed)
    await moving.mine(licensed, *minted(2, manufacturerId=4))
    await moving.reorg(1, [])
    for owner, orphans in ((OWNER, 1), (BUYER, 0)):
        answer = await own_api.ask(BY_BLOCK, filter={"manufacturerOwner": {"eq": owner}})
        assert [root["totalCount"] for root in answer.values()] == [orphans, orphans]


BY_BLOCK = """query ($filter: LifecycleEventFilter!) {
  lifecycleEvents(filterBy: $filter) { totalCount }
  orphanedEvents(filterBy: $filter) { totalCount } }"""


async def test_events_are_found_by_the_hash_of_their_block_on_either_branch(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    lost = await moving.mine(updated(1))
    await moving.reorg(1, [updated(1, "2.0.0"), updated(1, "3.0.0")])
    nobody = "0x" + "77" * 32
    for block, counts in ((lost.hash, (0, 1)), (moving.node.head.hash, (2, 0))):
        for condition in ({"eq": "0x" + block.hex()}, {"in": [nobody, "0x" + block.hex()]}):
            answer = await own_api.ask(BY_BLOCK, filter={"blockHash": condition})
            assert tuple(answer[root]["totalCount"] for root in ("lifecycleEvents", "orphanedEvents")) == counts
    answer = await own_api.ask(BY_BLOCK, filter={"blockHash": {"eq": nobody}})
    assert answer["lifecycleEvents"]["totalCount"] == answer["orphanedEvents"]["totalCount"] == 0


async def test_a_cursor_of_another_list_is_refused(moving: Moving, own_api: Api) -> None:
    await moving.mine(updated(1))
    await moving.reorg(1, [])
    cursor = (await orphaned(own_api))["pageInfo"]["endCursor"]
    for variables in ({"after": cursor, "filter": {"block": {"eq": "1"}}}, {"before": "x"}, {"first": 1, "last": 1}):
        error = await own_api.refusal(ORPHANS, **variables)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


def of_transaction(transaction: bytes, *logs: Log) -> list[Log]:
    return [replace(log, transaction=transaction) for log in logs]


async def test_a_transaction_is_returned_once_it_is_in_and_no_longer_after_a_reorg(
    moving: Moving, own_api: Api
) -> None:
    hash = new_transaction()
    variables = {"hash": "0x" + hash.hex()}
    assert await own_api.ask(TRANSACTION, **variables) == {"transaction": None}
    block = await moving.mine(updated(7), *of_transaction(hash, *minted(1)))
    answer = (await own_api.ask(TRANSACTION, **variables, chainId=str(moving.node.chain_id)))["transaction"]
    assert answer == {
        "hash": variables["hash"],
        "chainId": str(moving.node.chain_id),
        "index": 1,
        "block": {"number": "1", "hash": "0x" + block.hash.hex(), "finality": "UNSAFE"},
        "events": {
            "totalCount": 2,
            "pageInfo": {"hasNextPage": True, "endCursor": answer["events"]["pageInfo"]["endCursor"]},
            "nodes": [{"kind": "DEVICE_TRANSFERRED", "transactionIndex": 1}],
        },
    }
    assert await own_api.ask(TRANSACTION, **variables, chainId="1") == {"transaction": None}
    await moving.reorg(1, [])
    assert await own_api.ask(TRANSACTION, **variables) == {"transaction": None}


async def test_a_transaction_of_logs_that_no_rule_matches_is_in_without_events(moving: Moving, own_api: Api) -> None:
    hash = new_transaction()
    await moving.mine(*of_transaction(hash, emitted("Approval", owner=OWNER, approved=BUYER, tokenId=1)))
    answer = (await own_api.ask(TRANSACTION, hash="0x" + hash.hex()))["transaction"]
    assert (answer["block"]["number"], answer["events"]["totalCount"]) == ("1", 0)


async def test_a_transaction_that_two_networks_hold_is_requested_by_its_network(database_url: str) -> None:
    hash = new_transaction()
    networks = [Moving(database_url), Moving(database_url)]
    for network in networks:
        await network.mine(*of_transaction(hash, updated(1)))
    with asking(database_url) as own_api:
        error = await own_api.refusal(TRANSACTION, hash="0x" + hash.hex())
        assert error["extensions"]["reason"] == "AMBIGUOUS"
        chain_id = str(networks[1].node.chain_id)
        answer = (await own_api.ask(TRANSACTION, hash="0x" + hash.hex(), chainId=chain_id))["transaction"]
        assert answer["chainId"] == chain_id
    for network in networks:
        network.close()
