"""The change feed by polling: a client that applies its messages has exactly the events of the canonical chain."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.support.api.feeding import BUYER, CHANGES, OWNER, Api, Copy, Moving, asking, minted, sold, updated
from tests.support.chain.fakechain import FakeBlock, emitted

DEVICE_1 = {"device": {"tokenId": {"eq": "1"}}}


async def changes(own_api: Api, **variables: Any) -> Any:
    return (await own_api.ask(CHANGES, **variables))["changes"]


def kinds(page: Any) -> list[tuple[str, bool]]:
    return [(message["event"]["kind"], message["retracted"]) for message in page["messages"]]


async def test_the_feed_begins_with_the_first_event_and_goes_on_behind_its_end(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    page = await changes(own_api)
    assert kinds(page) == [("DEVICE_TRANSFERRED", False), ("DEVICE_MINTED", False)]
    assert page["endCursor"] == page["messages"][-1]["cursor"]
    assert not page["hasMore"]
    assert kinds(await changes(own_api, after=page["endCursor"])) == []
    await moving.mine(updated(1))
    assert kinds(await changes(own_api, after=page["endCursor"])) == [("FIRMWARE_UPDATED", False)]


async def test_an_index_without_events_has_a_cursor_to_go_on_from(moving: Moving, own_api: Api) -> None:
    empty = await changes(own_api)
    assert (empty["messages"], empty["hasMore"]) == ([], False)
    await moving.mine(updated(1))
    assert kinds(await changes(own_api, after=empty["endCursor"])) == [("FIRMWARE_UPDATED", False)]


async def test_pages_of_any_size_give_the_same_messages(moving: Moving, own_api: Api) -> None:
    for token in range(1, 5):
        await moving.mine(*minted(token), updated(token))
    copies = []
    for first in (1, 2, 5, 100):
        copy = Copy()
        await copy.catch_up(own_api, first)
        copies.append(copy.events)
    assert copies == [copies[0]] * 4
    assert [id for id, _ in copies[0]] == moving.ids()
    none = await changes(own_api, first=0)
    assert (none["messages"], none["hasMore"]) == ([], True)
    count = len(moving.ids())
    assert [(await changes(own_api, first=first))["hasMore"] for first in (count - 1, count)] == [True, False]


async def test_a_reorg_is_returned_newest_first_and_then_the_new_branch(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.mine(updated(1, "2.0.0"), updated(1, "3.0.0"))
    await moving.mine(sold(1))
    await copy.catch_up(own_api)
    await moving.reorg(2, [], [updated(1, "4.0.0")])
    page = await changes(own_api, after=copy.cursor)
    assert kinds(page) == [
        ("DEVICE_TRANSFERRED", True),
        ("FIRMWARE_UPDATED", True),
        ("FIRMWARE_UPDATED", True),
        ("FIRMWARE_UPDATED", False),
    ]
    assert [message["event"]["finality"] for message in page["messages"]] == ["ORPHANED"] * 3 + ["UNSAFE"]
    assert [message["event"]["block"]["finality"] for message in page["messages"]] == ["ORPHANED"] * 3 + ["UNSAFE"]
    copy.apply(page["messages"])
    assert copy.ids == moving.ids()


async def test_a_retraction_that_was_cut_off_goes_on_where_it_stopped(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    await moving.mine(*[updated(1, f"{number}.0.0") for number in range(5)])
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(1, [updated(1, "9.0.0")])
    for _ in range(2):
        assert await copy.pull(own_api, first=2)
    assert len(copy.events) == 3
    await copy.catch_up(own_api, first=2)
    assert copy.ids == moving.ids()


async def test_a_cursor_of_a_branch_that_went_two_reorgs_ago_comes_back(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    await moving.mine(*minted(2))
    await moving.mine(updated(2), updated(1))
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(1, [updated(1, "5.0.0")])
    await moving.reorg(2, [updated(1, "6.0.0")], [])
    await moving.reorg(3, [updated(1, "7.0.0")], [updated(1, "8.0.0")])
    await copy.catch_up(own_api)
    assert copy.ids == moving.ids()


async def test_blocks_that_come_again_are_not_retracted(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    first = await moving.mine(updated(1, "2.0.0"))
    await moving.mine(updated(1, "3.0.0"))
    branch = list(moving.node.blocks)
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(2, [updated(1, "4.0.0")])
    assert branch[-2] is first
    moving.node.switch_to(branch[:-1])
    await moving.mine(updated(1, "5.0.0"))
    page = await changes(own_api, after=copy.cursor)
    assert [(message["retracted"], message["event"]["block"]["number"]) for message in page["messages"]] == [
        (True, "3"),
        (False, "3"),
    ]
    copy.apply(page["messages"])
    assert copy.ids == moving.ids()


async def test_of_several_blocks_that_come_again_none_is_retracted(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    for number in (2, 3, 4):
        await moving.mine(updated(1, f"{number}.0.0"))
    branch = list(moving.node.blocks)
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(3, [updated(1, "5.0.0")])
    moving.node.switch_to(branch[:-1])
    await moving.mine(updated(1, "6.0.0"))
    page = await changes(own_api, after=copy.cursor)
    assert [(message["retracted"], message["event"]["block"]["number"]) for message in page["messages"]] == [
        (True, "4"),
        (False, "4"),
    ]


async def test_a_branch_is_known_also_where_its_empty_ancestor_is_final_and_dropped(database_url: str) -> None:
    moving = Moving(database_url, finality=4)
    with asking(database_url) as own_api:
        await moving.mine(*minted(1))
        await moving.mine()
        await moving.mine(updated(1, "3.0.0"))
        branch = list(moving.node.blocks)
        first = Copy()
        await first.catch_up(own_api)
        await moving.reorg(2, [], [updated(1, "4.0.0")], [])
        await returned(moving, branch)
        await moving.reorg(2, [updated(1, "5.0.0")], [])
        second = Copy()
        await second.catch_up(own_api)
        await returned(moving, branch)
        for _ in range(8):
            await moving.mine(updated(1, "6.0.0"))
        with own_api.engine.begin() as connection:
            kept = connection.execute(text("SELECT number FROM block ORDER BY number")).scalars().all()
        assert branch[2].number not in kept
        for copy in (first, second):
            await copy.catch_up(own_api)
            assert copy.ids == moving.ids()
    moving.close()


async def test_a_reorg_is_returned_also_where_the_empty_block_below_it_is_final_and_dropped(database_url: str) -> None:
    moving = Moving(database_url, finality=4)
    with asking(database_url) as own_api:
        await moving.mine(*minted(1))
        empty = await moving.mine()
        await moving.mine(updated(1, "3.0.0"))
        copy = Copy()
        await copy.catch_up(own_api)
        await moving.reorg(1, [updated(1, "4.0.0")])
        for _ in range(8):
            await moving.mine(updated(1, "5.0.0"))
        with own_api.engine.begin() as connection:
            assert empty.number not in connection.execute(text("SELECT number FROM block")).scalars().all()
        await copy.catch_up(own_api)
        assert copy.ids == moving.ids()
    moving.close()


async def returned(moving: Moving, branch: list[FakeBlock]) -> None:
    """Makes a branch canonical again with an empty block."""
    height = moving.node.head.number
    moving.node.switch_to(branch)
    moving.node.mine_blocks(max(1, height - moving.node.head.number))
    await moving.indexer.catch_up()


async def test_the_event_before_a_retracted_one_is_found_however_far_it_is(
    moving: Moving, own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.queries.feed.SCANNED", 3)
    await moving.mine(*minted(1))
    await moving.mine(*[updated(2)] * 7)
    await moving.mine(updated(1))
    copy = Copy(strict=False)
    await copy.catch_up(own_api, filter=DEVICE_1)
    await moving.reorg(1, [])
    await copy.catch_up(own_api, filter=DEVICE_1)
    await moving.mine(updated(1, "3.0.0"))
    await copy.catch_up(own_api, filter=DEVICE_1)
    assert len(copy.events) == 3


async def test_a_reorg_of_empty_blocks_is_none_to_the_feed(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    await moving.mine()
    copy = Copy()
    await copy.catch_up(own_api)
    await copy.pull(own_api)
    await moving.reorg(1, [])
    page = await changes(own_api, after=copy.cursor)
    assert page["messages"] == []
    await moving.mine(updated(1))
    assert kinds(await changes(own_api, after=page["endCursor"])) == [("FIRMWARE_UPDATED", False)]


async def test_a_filter_by_a_device_whose_identity_a_reorg_removed_still_retracts(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(9))
    await moving.mine(*minted(1), *minted(2))
    await moving.mine(updated(2), updated(1))
    did = f"did:erc721:{moving.node.chain_id}:0x5fbdb2315678afecb367f032d93f642f64180aa3:1"
    for wish in (DEVICE_1, {"device": {"anyKey": did}}, {"not": {"device": {"tokenId": {"ne": "1"}}}}):
        copy = Copy()
        await copy.catch_up(own_api, filter=wish)
        assert len(copy.events) == 3
    await moving.reorg(2, [*minted(2)], [updated(2)])
    page = await changes(own_api, after=copy.cursor, filter=wish)
    assert kinds(page) == [
        ("FIRMWARE_UPDATED", True),
        ("DEVICE_MINTED", True),
        ("DEVICE_TRANSFERRED", True),
    ]
    copy.apply(page["messages"])
    assert copy.events == []


async def test_a_filter_by_a_devices_state_is_judged_at_the_events_own_block(moving: Moving, own_api: Api) -> None:
    owned = {"device": {"owner": {"eq": OWNER}}}
    await moving.mine(*minted(1))
    await moving.mine(updated(1, "2.0.0"))
    await moving.mine(sold(1))
    await moving.mine(updated(1, "3.0.0"))
    page = await changes(own_api, filter=owned)
    assert [message["event"]["block"]["number"] for message in page["messages"]] == ["1", "1", "2"]
    late = await changes(own_api, filter={"device": {"owner": {"eq": BUYER}}})
    assert [message["event"]["block"]["number"] for message in late["messages"]] == ["3", "4"]
    copy = Copy(strict=False)
    await copy.catch_up(own_api, filter=owned)
    await moving.reorg(3, [sold(1)], [updated(1, "2.0.0")])
    await copy.catch_up(own_api, filter=owned)
    assert copy.ids == moving.ids(lambda block, log: block.number == 1)


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"kind": {"eq": "FIRMWARE_UPDATED"}}, ["2"]),
    ({"kind": {"in": ["DEVICE_MINTED"]}}, ["1"]),
    ({"manufacturerId": {"eq": "1"}}, ["1"]),
    ({"manufacturerId": {"eq": "2"}}, []),
    ({"hardwareLicenseId": {"isNull": False}}, ["1"]),
    ({"block": {"gt": "1"}}, ["2", "3"]),
    ({"action": {"eq": "ADD"}}, ["1"]),
    ({"bizStep": {"eq": "commissioning"}}, ["1"]),
    ({"flag": {"any": True}}, []),
    ({"flag": {"any": False}}, ["1", "2", "3"]),
    ({"recordTime": {"gte": "2023-11-14T22:13:44Z"}}, ["2", "3"]),
    ({"or": [{"kind": {"eq": "DEVICE_MINTED"}}, {"block": {"eq": "3"}}]}, ["1", "3"]),
    ({"not": {"block": {"lte": "2"}}}, ["3"]),
    ({"chainId": {"eq": "1"}}, []),
]


AT_BLOCK = """query ($filter: DeviceFilter!, $block: BigInt!) {
  devices(filterBy: $filter, asOf: {block: $block}) { nodes { tokenId } } }"""
GRANTED = {"authorizedUser": {"user": {"eq": BUYER}}}


@pytest.mark.parametrize(
    "condition",
    [
        GRANTED,
        {"authorizedUser": {"organization": {"startsWith": "De"}}},
        {"not": GRANTED},
        {"or": [GRANTED, {"owner": {"eq": BUYER}}]},
        {"factoryResetsSince": {"since": "1990-01-01T00:00:00Z", "count": {"gt": 0}}},
        {"imeiUnique": {"eq": "FAIL"}},
        {"serialUniqueForManufacturer": {"eq": "FAIL"}},
    ],
)
async def test_a_condition_on_grants_resets_and_other_devices_holds_as_in_the_list_at_the_events_block(
    moving: Moving, own_api: Api, condition: dict[str, Any]
) -> None:
    same = {"imei": "490154203237518", "serialNumber": "S"}
    await moving.mine(*minted(1, **same))
    await moving.mine(emitted("UserAuthorized", tokenId=1, user=BUYER, organization="Depot"))
    await moving.mine(*minted(2, **same), emitted("FactoryReset", tokenId=1))
    await moving.mine(emitted("UserRevoked", tokenId=1, user=BUYER), updated(2))
    await moving.mine(updated(1), sold(2))
    query = CHANGES.replace("event { id", "event { id device { tokenId }")
    events = [message["event"] for message in (await own_api.ask(query))["changes"]["messages"]]
    fitting = []
    for event in events:
        at_block = await own_api.ask(AT_BLOCK, filter=condition, block=event["block"]["number"])
        if event["device"] in at_block["devices"]["nodes"]:
            fitting.append(event["id"])
    assert 0 < len(fitting) < len(events)
    page = await changes(own_api, filter={"device": condition})
    assert [message["event"]["id"] for message in page["messages"]] == fitting


async def test_each_filter_retracts_what_it_sent(moving: Moving, own_api: Api) -> None:
    await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
        *minted(1, hardwareLicenseId=7),
    )
    await moving.mine(updated(1))
    await moving.mine(sold(1))
    copies = []
    for wish, expected in FILTERS:
        page = await changes(own_api, filter=wish)
        assert sorted({message["event"]["block"]["number"] for message in page["messages"]}) == expected, wish
        copies.append(Copy(cursor=page["endCursor"]))
        copies[-1].apply(page["messages"])
    await moving.reorg(3, [], [], [])
    for copy, (wish, _) in zip(copies, FILTERS, strict=True):
        await copy.catch_up(own_api, filter=wish)
        assert copy.events == [], wish


async def test_unmapped_logs_are_sent_only_when_requested(moving: Moving, own_api: Api) -> None:
    approved = emitted("Approval", owner=OWNER, approved=BUYER, tokenId=1)
    await moving.mine(approved, *minted(1), approved)
    page = await changes(own_api)
    assert [message["event"]["logIndex"] for message in page["messages"]] == [1, 2]
    unmapped = await changes(own_api, filter={"kind": {"eq": "UNMAPPED"}})
    assert [message["event"]["logIndex"] for message in unmapped["messages"]] == [0, 3]
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(1, [approved])
    await copy.catch_up(own_api)
    assert copy.events == []


async def test_a_page_is_filled_over_logs_that_are_not_sent(moving: Moving, own_api: Api) -> None:
    approved = emitted("Approval", owner=OWNER, approved=BUYER, tokenId=1)
    await moving.mine(approved, approved, approved, *minted(1))
    assert kinds(await changes(own_api, first=1)) == [("DEVICE_TRANSFERRED", False)]


async def test_a_rare_event_is_found_by_empty_pages_that_go_on(
    moving: Moving, own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.queries.feed.SCANNED", 3)
    monkeypatch.setattr("api.queries.feed.SCANS", 2)
    for _ in range(4):
        await moving.mine(*[updated(1)] * 5)
    await moving.mine(sold(1))
    wish = {"kind": {"eq": "DEVICE_TRANSFERRED"}}
    copy, pages = Copy(), 1
    while await copy.pull(own_api, filter=wish):
        pages += 1
    assert len(copy.events) == 1
    assert pages > 3
    assert max(map(len, [own_api.statements])) < 15


async def test_finalized_events_are_returned_when_they_are_final_and_never_retracted(database_url: str) -> None:
    moving = Moving(database_url, finality=2)
    with asking(database_url) as own_api:
        copy = Copy()
        for number in range(1, 7):
            await moving.mine(updated(1, f"{number}.0.0"))
            await copy.catch_up(own_api, finality="FINALIZED")
            assert copy.ids == moving.ids(up_to=number - 2)
        await moving.reorg(1, [updated(1, "9.0.0")])
        page = await changes(own_api, after=copy.cursor, finality="FINALIZED")
        assert page["messages"] == []
        safe = Copy()
        await safe.catch_up(own_api, finality="SAFE")
        assert safe.ids == copy.ids
    moving.close()


async def test_a_cursor_of_unsafe_events_is_retracted_also_to_who_goes_on_with_final_ones(
    moving: Moving, own_api: Api
) -> None:
    await moving.mine(updated(1))
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(1, [])
    await copy.catch_up(own_api, finality="FINALIZED")
    assert copy.events == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"after": "nonsense"}, 'after is "nonsense", which is not a cursor of the change feed'),
    ({"first": 101}, "first is 101"),
    ({"first": -1}, "first is -1"),
    ({"finality": "ORPHANED"}, "finality is ORPHANED"),
    ({"filter": {"finality": {"eq": "SAFE"}}}, "use the argument finality"),
    ({"filter": {"or": [{"not": {"verification": {"eq": "RPC"}}}]}}, "filterBy.verification changes"),
]


async def test_what_the_feed_cannot_do_is_refused(moving: Moving, own_api: Api) -> None:
    for variables, message in REFUSED:
        error = await own_api.refusal(CHANGES, **variables)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert message in error["message"]


async def test_a_cursor_is_refused_by_another_filter(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    cursor = (await changes(own_api))["endCursor"]
    error = await own_api.refusal(CHANGES, after=cursor, filter=DEVICE_1)
    assert "another feed" in error["message"]
    page = "query ($after: String) { lifecycleEvents(after: $after) { nodes { id } } }"
    assert (await own_api.refusal(page, after=cursor))["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_operators_rollback_leaves_cursors_waiting_until_their_block_is_back(
    moving: Moving, own_api: Api
) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1, "2.0.0"))
    await moving.mine(updated(1, "3.0.0"))
    copy = Copy()
    await copy.catch_up(own_api)
    store = moving.indexer.store
    store.roll_back_to(store.checkpoint(), 1)
    assert not await copy.pull(own_api)
    await moving.indexer.catch_up()
    await moving.mine(updated(1, "4.0.0"))
    await copy.catch_up(own_api)
    assert copy.ids == moving.ids()


async def test_a_cursor_of_which_nothing_is_known_is_stale(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1, "2.0.0"))
    cursor = (await changes(own_api))["endCursor"]
    store = moving.indexer.store
    store.roll_back_to(store.checkpoint(), 1)
    moving.node.reorg(1, [updated(1, "5.0.0")])
    await moving.indexer.catch_up()
    error = await own_api.refusal(CHANGES, after=cursor)
    assert (error["extensions"]["code"], error["extensions"]["reason"]) == ("BAD_USER_INPUT", "STALE_CURSOR")
    assert "drop the copy" in error["message"]


async def test_a_cursor_from_before_another_profile_is_stale(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    cursor = (await changes(own_api))["endCursor"]
    with moving.indexer.engine.begin() as connection:
        connection.execute(text("UPDATE profile SET text = text || '# another'"))
    error = await own_api.refusal(CHANGES, after=cursor)
    assert error["extensions"]["reason"] == "STALE_CURSOR"


async def test_two_networks_are_returned_in_the_order_of_time_and_each_keeps_its_own(database_url: str) -> None:
    moving = Moving(database_url)
    other = Moving(database_url)
    with asking(database_url) as own_api:
        for number in range(3):
            await moving.mine(updated(1, f"{number}.0.0"))
            await other.mine(updated(2, f"{number}.0.0"))
        copy = Copy(strict=False)
        await copy.catch_up(own_api, first=2)
        assert sorted(copy.ids) == sorted(moving.ids() + other.ids())
        await other.reorg(2, [updated(2, "9.0.0")])
        await moving.mine(updated(1, "7.0.0"))
        await moving.reorg(3, [updated(1, "8.0.0")])
        retracted = [message["retracted"] for message in (await changes(own_api, after=copy.cursor))["messages"]]
        assert retracted == [True] * 4 + [False] * 2
        await copy.catch_up(own_api, first=2)
        assert sorted(copy.ids) == sorted(moving.ids() + other.ids())
        page = await changes(own_api, first=100)
        times = {
            id: (block.timestamp, network.node.chain_id)
            for network in (moving, other)
            for block in network.node.blocks
            for id in network.ids(up_to=block.number)[len(network.ids(up_to=block.number - 1)) :]
        }
        order = [times[message["event"]["id"]] for message in page["messages"]]
        assert order == sorted(order)
        assert len({time for time, _ in order}) < len(order)
    moving.close()
    other.close()


async def test_the_events_of_a_license_that_a_reorg_removed_are_returned_with_what_is_left(
    moving: Moving, own_api: Api
) -> None:
    await moving.mine()
    await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
        *minted(1, hardwareLicenseId=7),
    )
    copy = Copy()
    await copy.catch_up(own_api)
    await moving.reorg(1, [])
    page = (
        await own_api.ask(
            """query ($after: String) { changes(after: $after) { messages { retracted event {
              __typename id finality device { tokenId } flags
              ... on ManufacturerLicensed { manufacturer { id tokenId name owner license { status uri }
                devices { totalCount } history { nodes { id } } } }
              ... on HardwareLicensed { hardwareLicense { hardwareLicenseId model manufacturer { name }
                license { status } devices { nodes { id } } } maker: manufacturer { tokenId } }
              } } } }""",
            after=copy.cursor,
        )
    )["changes"]
    assert [message["event"]["__typename"] for message in page["messages"]] == [
        "DeviceMinted",
        "DeviceTransferred",
        "HardwareLicensed",
        "ManufacturerLicensed",
    ]
    licensed = page["messages"][3]["event"]["manufacturer"]
    assert (licensed["tokenId"], licensed["name"], licensed["license"]["status"]) == ("1", None, "NONE")
    hardware = page["messages"][2]["event"]
    assert (hardware["hardwareLicense"]["hardwareLicenseId"], hardware["hardwareLicense"]["model"]) == ("7", None)
    assert hardware["maker"] == {"tokenId": "1"}
    assert page["messages"][0]["event"]["device"] is None
