"""Log indexes of 2^20 and more: returned as the chain has them, and in order in every list, page, feed and state."""

from dataclasses import replace
from typing import Any

from sqlalchemy import text

from indexer.check.bundle import check
from schema.bundle.document import subject_of, to_json
from schema.bundle.making import make_bundle
from tests.support.api.feeding import Api, Copy, Moving, minted, sold, updated
from tests.support.chain.fakechain import CERTIFICATE, Log

WIDE = (2**20 - 1, 2**20, 2**31, 2**32 - 2, 2**32 - 1)


def wide(*logs: Log) -> list[Log]:
    return [replace(log, index=index) for log, index in zip(logs, WIDE, strict=True)]


def system_logs() -> list[Log]:
    return wide(*(updated(1, f"{number}.0.0") for number in range(2, 6)), sold(1))


EVENT = "id kind logIndex block { number }"


async def events(own_api: Api, arguments: str = "") -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await own_api.ask(f"{{ lifecycleEvents{arguments} {{ nodes {{ {EVENT} }} }} }}"))[
        "lifecycleEvents"
    ]["nodes"]
    return nodes


async def test_wide_log_indexes_are_returned_in_order_and_found_by_their_ids(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1), *system_logs())
    await moving.mine(updated(1, "9.0.0"))
    listed = await events(own_api)
    assert [(event["block"]["number"], event["logIndex"]) for event in listed] == [
        *(("1", index) for index in (0, 1, *WIDE)),
        ("2", 0),
    ]
    for event in listed:
        query = f'{{ node(id: "{event["id"]}") {{ ... on LifecycleEvent {{ {EVENT} }} }} }}'
        assert (await own_api.ask(query))["node"] == event


async def test_transaction_indexes_may_exceed_32_bits_too(moving: Moving, own_api: Api) -> None:
    sale = sold(1)
    await moving.mine(*minted(1), sale)
    with moving.indexer.engine.begin() as connection:
        connection.execute(text("UPDATE event SET transaction_index = 4294967295"))
    hash = f"0x{sale.transaction.hex()}"
    found = await own_api.ask(
        f'{{ lifecycleEvents {{ nodes {{ transactionIndex }} }} transaction(hash: "{hash}") {{ index }} }}'
    )
    assert found["lifecycleEvents"]["nodes"] == 3 * [{"transactionIndex": 2**32 - 1}]
    assert found["transaction"] == {"index": 2**32 - 1}


async def test_a_bundle_has_the_true_log_indexes_and_its_state_follows_from_them(moving: Moving) -> None:
    await moving.mine(*minted(2), *minted(1), *system_logs())
    with moving.indexer.engine.begin() as connection:
        bundle = make_bundle(connection, moving.node.chain_id, CERTIFICATE, 1)
    assert bundle is not None
    assert [event.log_index for event in bundle.events] == [1, 2, 3, *WIDE]
    rows = bundle.state.device
    assert rows
    (version,) = rows["device_version"]
    assert version["valid_from"] == f"1:{WIDE[-1]}"
    assert check(to_json(bundle), {}).did == subject_of(bundle)[1].did


async def test_pages_go_on_behind_a_wide_log_index(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1), *system_logs())
    await moving.mine(updated(1, "9.0.0"))
    listed, after = [], ""
    while True:
        page = (
            await own_api.ask(
                f"{{ lifecycleEvents(first: 2{after}) {{ nodes {{ {EVENT} }} pageInfo {{ hasNextPage endCursor }} }} }}"
            )
        )["lifecycleEvents"]
        listed += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = f', after: "{page["pageInfo"]["endCursor"]}"'
    assert listed == await events(own_api)


async def test_the_state_as_of_a_block_has_what_its_wide_logs_did(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1), *system_logs())
    await moving.mine(updated(1, "9.0.0"))
    query = '{ device(by: {tokenId: "1"}, asOf: {block: "BLOCK"}) { firmware { version } history { totalCount } } }'
    for block, version, count in (("1", "5.0.0", 7), ("2", "9.0.0", 8)):
        device = (await own_api.ask(query.replace("BLOCK", block)))["device"]
        assert device == {"firmware": {"version": version}, "history": {"totalCount": count}}


async def test_the_feed_and_orphans_keep_wide_log_indexes_through_a_reorg(moving: Moving, own_api: Api) -> None:
    await moving.mine(*minted(1))
    copy = Copy()
    await copy.catch_up(own_api, 1)
    lost = system_logs()
    await moving.mine(*lost)
    await copy.catch_up(own_api, 2)
    before = await events(own_api)
    await moving.reorg(1, system_logs()[:3])
    await copy.catch_up(own_api, 2)
    assert [event["logIndex"] for event in await events(own_api)] == [0, 1, *WIDE[:3]]
    orphans = (await own_api.ask(f"{{ orphanedEvents {{ nodes {{ event {{ {EVENT} }} }} }} }}"))["orphanedEvents"][
        "nodes"
    ]
    assert [orphan["event"] for orphan in orphans] == before[:1:-1]
