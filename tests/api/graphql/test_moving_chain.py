"""Answers while the chain grows and reorgs: pages, points in time, ids, and one snapshot for each request."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api.asking import Api, Json, asking
from tests.support.chain.fakechain import FakeBlock, FakeNode, Log, emitted
from tests.support.index.indexing import Indexer, open_engine

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

OWNER, BUYER, USER = "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "33" * 20
DEVICES = """query ($first: Int, $after: String, $asOf: AsOf, $filter: DeviceFilter) {
  devices(first: $first, after: $after, asOf: $asOf, filterBy: $filter, orderBy: {field: TOKEN_ID, direction: ASC}) {
    totalCount pageInfo { hasNextPage endCursor } nodes { tokenId firmware { version } asOf { number } } } }"""


class Moving:
    """A node, its index and the API over it."""

    def __init__(self, url: str, api: Api, **node: Any) -> None:
        self.api = api
        self.node = FakeNode(**node)
        self.indexer = Indexer(open_engine(url), self.node)

    async def mine(self, *logs: Log) -> FakeBlock:
        block = self.node.mine(*logs)
        await self.indexer.catch_up()
        return block

    async def reorg(self, depth: int, *blocks: list[Log]) -> None:
        self.node.reorg(depth, *blocks)
        await self.indexer.catch_up()


@pytest.fixture
def moving(database_url: str) -> Iterator[Moving]:
    engine = open_engine(database_url)
    with asking(database_url) as api:
        chain = Moving(database_url, api)
        yield chain
        chain.indexer.engine.dispose()
    engine.dispose()


def minted(token: int, **changes: Any) -> list[Log]:
    return [
        emitted("Transfer", to=OWNER, tokenId=token),
        emitted("CertificateMinted", tokenId=token, manufacturerId=1, firmwareVersion="1.0.0", **changes),
    ]


def updated(token: int, version: str) -> Log:
    return emitted("FirmwareUpdated", tokenId=token, toVersion=version)


async def test_a_page_sequence_stays_at_its_block_while_mints_arrive(moving: Moving) -> None:
    for token in range(10, 20):
        await moving.mine(*minted(token))
    seen: list[str] = []
    page: Json = {}
    after = None
    while after is None or page["pageInfo"]["hasNextPage"]:
        page = (await moving.api.ask(DEVICES, first=3, after=after))["devices"]
        seen += [node["tokenId"] for node in page["nodes"]]
        assert page["totalCount"] == 10
        assert {node["firmware"]["version"] for node in page["nodes"]} == {"1.0.0"}
        assert {node["asOf"]["number"] for node in page["nodes"]} == {"10"}
        after = page["pageInfo"]["endCursor"]
        await moving.mine(*minted(100 + len(seen)), *minted(1 + len(seen)), updated(19, "2.0.0"))
    assert seen == [str(token) for token in range(10, 20)]


async def test_a_cursor_of_a_block_that_a_reorg_removed_is_stale(moving: Moving) -> None:
    for token in range(5):
        await moving.mine(*minted(token))
    page = (await moving.api.ask(DEVICES, first=2))["devices"]
    await moving.reorg(2, minted(8), minted(9))
    error = await moving.api.refusal(DEVICES, first=2, after=page["pageInfo"]["endCursor"])
    assert (error["extensions"]["code"], error["extensions"]["reason"]) == ("BAD_USER_INPUT", "STALE_CURSOR")


async def test_a_cursor_outlives_the_header_of_its_block(moving: Moving) -> None:
    for token in range(5):
        await moving.mine(*minted(token))
    await moving.mine()
    page = (await moving.api.ask(DEVICES, first=2))["devices"]
    moving.node.mine_blocks(200)
    await moving.indexer.catch_up()
    kept = {row["number"] for row in moving.indexer.rows("block")}
    assert 6 not in kept
    following = (await moving.api.ask(DEVICES, first=9, after=page["pageInfo"]["endCursor"]))["devices"]
    assert [node["tokenId"] for node in following["nodes"]] == ["2", "3", "4"]


@pytest.mark.parametrize("change", ["filter", "order", "field", "asOf", "garbage"])
async def test_a_cursor_is_refused_by_another_list(moving: Moving, change: str) -> None:
    for token in range(4):
        await moving.mine(*minted(token))
    cursor = (await moving.api.ask(DEVICES, first=2))["devices"]["pageInfo"]["endCursor"]
    queries = {
        "filter": (DEVICES, {"after": cursor, "filter": {"tokenId": {"gt": "0"}}}),
        "order": ("query ($after: String) { devices(after: $after) { nodes { id } } }", {"after": cursor}),
        "field": ("query ($after: String) { lifecycleEvents(after: $after) { nodes { id } } }", {"after": cursor}),
        "asOf": (DEVICES, {"after": cursor, "asOf": {"block": "3"}}),
        "garbage": (DEVICES, {"after": "not a cursor"}),
    }
    query, variables = queries[change]
    error = await moving.api.refusal(query, **variables)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "ursor" in error["message"]


async def test_a_page_read_as_of_a_block_goes_on_only_as_of_that_block(moving: Moving) -> None:
    for token in range(6):
        await moving.mine(*minted(token))
    at = {"block": "4"}
    page = (await moving.api.ask(DEVICES, first=3, asOf=at))["devices"]
    cursor = page["pageInfo"]["endCursor"]
    assert page["totalCount"] == 4
    assert (await moving.api.refusal(DEVICES, first=3, after=cursor))["extensions"]["code"] == "BAD_USER_INPUT"
    following = (await moving.api.ask(DEVICES, first=3, after=cursor, asOf=at))["devices"]
    assert [node["tokenId"] for node in following["nodes"]] == ["3"]


async def test_as_of_a_block_answers_the_same_before_and_after_later_blocks(moving: Moving) -> None:
    await moving.mine(*minted(1), emitted("UserAuthorized", tokenId=1, user=USER, expiresAt=1_700_000_036))
    block = await moving.mine(updated(1, "1.1.0"))
    query = """query ($asOf: AsOf) { device(by: {tokenId: 1}, asOf: $asOf) {
      id owner firmware { version } authorizedUsers { totalCount } asOf { number hash timestamp } } }"""
    points: list[Json] = [
        {"block": str(block.number)},
        {"blockHash": "0x" + block.hash.hex()},
        {"timestamp": "2023-11-14T22:13:44.5Z"},  # of the block and half a second
    ]
    await moving.mine()
    before = [(await moving.api.ask(query, asOf=point))["device"] for point in points]
    await moving.mine(updated(1, "2.0.0"), emitted("Transfer", **{"from": OWNER}, to=BUYER, tokenId=1))
    await moving.mine(emitted("UserRevoked", tokenId=1, user=USER))
    assert [(await moving.api.ask(query, asOf=point))["device"] for point in points] == before
    assert before[0] == before[1]
    assert before[0]["firmware"] == before[2]["firmware"] == {"version": "1.1.0"}
    assert before[0]["authorizedUsers"] == {"totalCount": 1}
    now = (await moving.api.ask(query))["device"]
    assert now["owner"] == BUYER
    assert now["id"] != before[0]["id"]


async def test_an_id_read_as_of_a_block_answers_there_again(moving: Moving) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1, "1.1.0"))
    query = """query ($asOf: AsOf) { device(by: {tokenId: 1}, asOf: $asOf) { id history { nodes { id } } } }"""
    past = (await moving.api.ask(query, asOf={"block": "1"}))["device"]
    now = (await moving.api.ask(query))["device"]
    node = "query ($id: ID!) { node(id: $id) { id ... on Device { firmware { version } history { totalCount } } } }"
    assert (await moving.api.ask(node, id=past["id"]))["node"] == {
        "id": past["id"],
        "firmware": {"version": "1.0.0"},
        "history": {"totalCount": 2},
    }
    assert (await moving.api.ask(node, id=now["id"]))["node"]["firmware"] == {"version": "1.1.0"}
    by = "query ($id: ID!) { device(by: {id: $id}) { firmware { version } } }"
    assert (await moving.api.ask(by, id=past["id"]))["device"] == {"firmware": {"version": "1.0.0"}}
    await moving.reorg(2, minted(1), [updated(1, "1.2.0")])
    assert (await moving.api.ask(node, id=past["id"])) == {"node": None}
    assert (await moving.api.ask(node, id=now["id"]))["node"]["firmware"] == {"version": "1.2.0"}


EVERYTHING = """fragment Whole on Node { __typename id
  ... on Device { owner firmware { version } history(last: 1) { nodes { id kind } } mint { id } }
  ... on Manufacturer { name license { status grant { id } } devices { totalCount nodes { id } } }
  ... on HardwareLicense { model license { status } devices { nodes { id } } manufacturer { id name } }
  ... on Authorization { active endReason of: device { id owner } grant { id } }
  ... on LifecycleEvent { kind flags device { id owner firmware { version } } } }"""


async def test_every_type_of_node_answers_at_the_point_that_its_id_carries(moving: Moving) -> None:
    block = await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
        *minted(1, hardwareLicenseId=7),
        emitted("UserAuthorized", tokenId=1, user=USER),
        *(emitted(name, tokenId=1) for name in ("FactoryReset", "DeviceProvisioned", "QualityInspectionRecorded")),
        emitted("EndOfLifeRecorded", tokenId=1, process=1),
        updated(1, "1.1.0"),
    )
    query = f"""query ($asOf: AsOf) {{
      device(by: {{tokenId: 1}}, asOf: $asOf) {{ ...Whole
        manufacturer {{ ...Whole }} hardwareLicense {{ ...Whole }}
        authorizedUsers(scope: ALL) {{ nodes {{ ...Whole }} }} }}
      lifecycleEvents(asOf: $asOf) {{ nodes {{ ...Whole }} }} }} {EVERYTHING}"""

    async def things(as_of: Json | None) -> list[Json]:
        answer = await moving.api.ask(query, asOf=as_of)
        device = answer["device"]
        makers = [device.pop("manufacturer"), device.pop("hardwareLicense")]
        return [device, *makers, *device.pop("authorizedUsers")["nodes"], *answer["lifecycleEvents"]["nodes"]]

    at = {"block": str(block.number)}
    then = await things(at)
    assert len({thing["__typename"] for thing in then}) == 14
    await moving.mine(
        emitted("Transfer", **{"from": OWNER}, to=BUYER, tokenId=1),
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Apex"),
        emitted("HardwareLicenseRevoked", hardwareLicenseId=7),
        emitted("UserRevoked", tokenId=1, user=USER),
        *minted(2, hardwareLicenseId=7),
        updated(1, "2.0.0"),
    )
    nodes = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...Whole }} }} {EVERYTHING}"
    ids = [thing["id"] for thing in then]
    assert await things(at) == then
    assert (await moving.api.ask(nodes, ids=ids))["nodes"] == then
    now = await things(None)
    assert not {thing["id"] for thing in now} & set(ids)
    assert (await moving.api.ask(nodes, ids=[thing["id"] for thing in now]))["nodes"] == now
    await moving.reorg(2, [])
    assert (await moving.api.ask(nodes, ids=ids))["nodes"] == [None] * len(ids)


async def test_a_device_whose_mint_a_reorg_moved_is_the_same_device_with_another_mint(moving: Moving) -> None:
    query = (
        """{ device(by: {tokenId: 1}) { id tokenDID mint { id block { hash } } mintedAt history { totalCount } } }"""
    )
    await moving.mine(*minted(1))
    before = (await moving.api.ask(query))["device"]
    await moving.reorg(1, [])
    assert (await moving.api.ask(query))["device"] is None
    block = await moving.mine(*minted(1))
    after = (await moving.api.ask(query))["device"]
    assert (after["id"], after["tokenDID"]) == (before["id"], before["tokenDID"])
    assert after["mint"]["id"] != before["mint"]["id"]
    assert after["mint"]["block"]["hash"] == "0x" + block.hash.hex()
    assert (after["mintedAt"] != before["mintedAt"], after["history"]["totalCount"]) == (True, 2)


async def test_a_token_that_came_back_from_a_burn_is_found_by_its_address(moving: Moving) -> None:
    device = "0x" + "44" * 20
    query = "query ($address: Address!) { device(by: {address: $address}) { tokenId } }"
    nobody = "0x" + "00" * 20
    await moving.mine(*minted(1, device=device))
    await moving.mine(emitted("Transfer", **{"from": OWNER}, to=nobody, tokenId=1))
    assert (await moving.api.ask(query, address=device))["device"] is None
    await moving.mine(emitted("Transfer", to=BUYER, tokenId=1))
    assert (await moving.api.ask(query, address=device))["device"] == {"tokenId": "1"}


async def test_before_anything_is_indexed_answers_are_empty_and_stand_nowhere(moving: Moving) -> None:
    answer = await moving.api.answer(
        "{ devices { totalCount nodes { id } } _meta { chains { indexed { number } } } changes { hasMore } }"
    )
    assert answer["data"]["devices"] == {"totalCount": 0, "nodes": []}
    assert answer["data"]["_meta"] == {"chains": [{"indexed": None}]}
    assert answer["extensions"]["asOf"] == []


async def test_an_event_of_a_branch_that_is_gone_is_gone_and_its_device_remains(moving: Moving) -> None:
    await moving.mine(*minted(1))
    await moving.mine(updated(1, "1.1.0"))
    query = "{ device(by: {tokenId: 1}) { firmwareUpdates { nodes { id } } } }"
    event = (await moving.api.ask(query))["device"]["firmwareUpdates"]["nodes"][0]["id"]
    node = "query ($id: ID!) { node(id: $id) { __typename id } }"
    assert (await moving.api.ask(node, id=event))["node"] == {"__typename": "FirmwareUpdated", "id": event}
    await moving.reorg(1, [updated(1, "1.1.0")])
    assert (await moving.api.ask(node, id=event)) == {"node": None}
    assert (await moving.api.ask(query))["device"]["firmwareUpdates"]["nodes"][0]["id"] != event


@pytest.mark.parametrize(
    ("point", "reason", "message"),
    [
        ({"block": "99"}, None, "blocks 0 to 3 are indexed"),
        ({"block": "-1"}, None, "blocks 0 to 3 are indexed"),
        ({"timestamp": "2030-01-01T00:00:00Z"}, None, "2030-01-01T00:00:00Z"),
        ({"blockHash": "0x" + "ab" * 32}, None, "0xabab"),
        ("orphan", "ORPHANED", "a reorg removed"),
    ],
    ids=str,
)
async def test_a_point_that_is_not_there_is_refused(
    moving: Moving, point: Any, reason: str | None, message: str
) -> None:
    await moving.mine(*minted(1))
    orphan = await moving.mine(*minted(2))
    await moving.reorg(1, minted(3))
    await moving.mine()
    if point == "orphan":
        point = {"blockHash": "0x" + orphan.hash.hex()}
    error = await moving.api.refusal(DEVICES, asOf=point)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"].get("reason") == reason
    assert message in error["message"]


async def test_before_the_first_block_there_is_nothing(moving: Moving) -> None:
    await moving.mine(*minted(1))
    for point in ({"timestamp": "1970-01-01T00:00:00Z"}, {"block": "0"}):
        assert (await moving.api.ask(DEVICES, asOf=point))["devices"]["totalCount"] == 0


async def test_the_first_of_two_mints_learns_of_the_second_when_that_comes(moving: Moving) -> None:
    first = await moving.mine(*minted(1))
    await moving.mine(*minted(1))
    query = """query ($asOf: AsOf, $filter: LifecycleEventFilter) {
      device(by: {tokenId: 1}, asOf: $asOf) { history(filterBy: $filter) { nodes { kind flags } } } }"""
    mints = {"kind": {"eq": "DEVICE_MINTED"}}
    now = (await moving.api.ask(query, filter=mints))["device"]["history"]["nodes"]
    assert ["DUPLICATE_MINT" in event["flags"] for event in now] == [True, True]
    flagged = (await moving.api.ask(query, filter={"flag": {"eq": "DUPLICATE_MINT"}}))["device"]["history"]["nodes"]
    assert [event["kind"] for event in flagged] == ["DEVICE_MINTED", "DEVICE_MINTED"]
    then = (await moving.api.ask(query, filter=mints, asOf={"block": str(first.number)}))["device"]["history"]["nodes"]
    assert ["DUPLICATE_MINT" in event["flags"] for event in then] == [False]


async def test_the_extensions_show_where_the_answer_stands(moving: Moving) -> None:
    block = await moving.mine(*minted(1))
    answer = await moving.api.answer("{ device(by: {tokenId: 1}) { asOf { number hash } } }")
    (point,) = answer["extensions"]["asOf"]
    assert point["chainId"] == str(moving.node.chain_id)
    assert {"number": point["number"], "hash": point["hash"]} == answer["data"]["device"]["asOf"]
    assert point["hash"] == "0x" + block.hash.hex()


async def test_the_extensions_show_the_newest_block_whatever_block_a_field_is_read_at(moving: Moving) -> None:
    for token in range(3):
        await moving.mine(*minted(token))
    cursor = (await moving.api.ask(DEVICES, first=1))["devices"]["pageInfo"]["endCursor"]
    newest = await moving.mine(updated(1, "2.0.0"))
    for variables, number in (({"asOf": {"block": "2"}}, "2"), ({"after": cursor}, "3")):
        answer = await moving.api.answer(DEVICES, first=1, **variables)
        assert [node["asOf"]["number"] for node in answer["data"]["devices"]["nodes"]] == [number]
        (point,) = answer["extensions"]["asOf"]
        assert (point["number"], point["hash"]) == (str(newest.number), "0x" + newest.hash.hex())


async def test_ids_are_answered_in_their_order_with_null_in_the_gaps(moving: Moving) -> None:
    await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
        *minted(1, hardwareLicenseId=7),
        emitted("UserAuthorized", tokenId=1, user=USER),
    )
    answer = await moving.api.ask("""{ device(by: {tokenId: 1}) { id manufacturer { id } hardwareLicense { id }
      authorizedUsers { nodes { id grant { id } } } mint { id } } }""")
    device = answer["device"]
    grant = device["authorizedUsers"]["nodes"][0]
    ids = [
        device["id"],
        "nonsense",
        device["manufacturer"]["id"],
        device["hardwareLicense"]["id"],
        grant["id"],
        "",
        grant["grant"]["id"],
        device["mint"]["id"],
        device["id"] + "=",
        device["id"],
    ]
    nodes = (await moving.api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids))["nodes"]
    assert [node and node["__typename"] for node in nodes] == [
        "Device",
        None,
        "Manufacturer",
        "HardwareLicense",
        "Authorization",
        None,
        "UserAuthorized",
        "DeviceMinted",
        None,
        "Device",
    ]
    assert all(node["id"] == id for node, id in zip(nodes, ids, strict=True) if node)
    statements = len(moving.api.statements)
    await moving.api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids * 10)
    assert len(moving.api.statements) == statements
    error = await moving.api.refusal("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_78_digit_token_id_is_taken_as_variable_string_and_literal(moving: Moving) -> None:
    token = 2**256 - 1
    await moving.mine(*minted(token), *minted(2**63), *minted(5))
    query = f"""query ($token: BigInt!) {{ variable: device(by: {{tokenId: $token}}) {{ tokenId }}
      string: device(by: {{tokenId: "{token}"}}) {{ tokenId }} literal: device(by: {{tokenId: {token}}}) {{ tokenId }}
      ordered: devices(filterBy: {{tokenId: {{gt: 5}}}}, orderBy: {{field: TOKEN_ID, direction: ASC}}) {{
        nodes {{ tokenId }} }} }}"""
    for variable in (token, str(token)):
        answer = await moving.api.ask(query, token=variable)
        assert answer["variable"] == answer["string"] == answer["literal"] == {"tokenId": str(token)}
        assert [node["tokenId"] for node in answer["ordered"]["nodes"]] == [str(2**63), str(token)]


def device_address(token: int, number: int) -> str:
    return f"0x{token:038x}{number:02x}"


async def test_the_number_of_statements_does_not_depend_on_the_size_of_the_page(moving: Moving) -> None:
    for token in range(1, 31):
        await moving.mine(
            *minted(token, hardwareLicenseId=token),
            emitted("UserAuthorized", tokenId=token, user=USER),
            emitted("QualityInspectionRecorded", tokenId=token, passed=True),
            emitted("HardwareLicensed", hardwareLicenseId=token, manufacturerId=1 + token % 3, model="T"),
        )
        for number in range(1 if token > 20 else 4):
            await moving.mine(emitted("DeviceAddressReset", tokenId=token, device=device_address(token, number)))
    query = """query ($first: Int) { devices(first: $first) { totalCount nodes {
      manufacturer { name license { status } devices(first: 2) { totalCount nodes { id } } }
      manufacturerLicenseAtMint { status }
      hardwareLicense { model manufacturer { name } } hardwareLicenseAtMint { status grant { id } }
      addresses { from { number } until { number } } attributes { name } mint { id device { tokenId } }
      authorizedUsers { totalCount nodes { device { tokenId } grant { id } } }
      history(first: 3) { totalCount nodes { id device { tokenId } } } qualityInspections { nodes { id } }
      provenance { imeiUnique { verdict evidence { id } } qualityInspectionPassed { verdict evidence { id } } }
    } } }"""
    counts = []
    for first in (2, 10, 29):  # of the last page more is asked: what has no place in the order
        await moving.api.ask(query, first=first)
        counts.append(len(moving.api.statements))
    assert counts == [counts[0]] * 3
    assert counts[0] < 45


async def test_one_refused_field_leaves_the_others_their_answers(moving: Moving) -> None:
    for token in range(1, 6):
        await moving.mine(*minted(token))
    answer = await moving.api.answer("""{
      good: devices { nodes { tokenId history { totalCount nodes { kind } } } }
      bad: device(by: {tokenId: 1}) { id history(first: 500) { totalCount } }
      also: device(by: {tokenId: 2}) { history { totalCount } } }""")
    assert [error["path"] for error in answer["errors"]] == [["bad", "history"]]
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert len(answer["data"]["good"]["nodes"]) == 5
    assert answer["data"]["bad"] is None
    assert answer["data"]["also"] == {"history": {"totalCount": 2}}


# Ids of later pages

PAGE = f"""query ($after: String, $first: Int = 2, $asOf: AsOf) {{
  devices(first: $first, after: $after, asOf: $asOf, orderBy: {{field: TOKEN_ID, direction: ASC}}) {{
    pageInfo {{ endCursor }} nodes {{ ...Whole ...More }} }} }}
fragment More on Device {{ tokenId
  page: history(first: 2) {{ pageInfo {{ endCursor }} nodes {{ ...Whole }} }}
  users: authorizedUsers(first: 1) {{ nodes {{ ...Whole }} }}
  maker: manufacturer {{ ...Whole }}
  hardware: hardwareLicense {{ ...Whole }}
  manufacturerLicenseAtMint {{
    grant {{ ...Whole ... on ManufacturerLicensed {{ licensee: manufacturer {{ ...Whole }} }} }} }}
  hardwareLicenseAtMint {{
    grant {{ ...Whole ... on HardwareLicensed {{ licensed: hardwareLicense {{ ...Whole }} }} }} }} }} {EVERYTHING}"""
NODES = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...Whole }} }} {EVERYTHING}"


def nodes_in(answer: Any) -> Iterator[Json]:
    """Yields the objects of a response that have all fields of EVERYTHING."""
    if isinstance(answer, dict):
        if "__typename" in answer:
            yield answer
        answer = list(answer.values())
    for part in answer if isinstance(answer, list) else ():
        yield from nodes_in(part)


async def checked_ids(moving: Moving, *answers: Json) -> set[str]:
    """Checks that each object of the responses is what its id names now. Returns the ids."""
    seen = list(nodes_in(list(answers)))
    contents = {node["id"]: node for node in await by_ids(moving, list({node["id"] for node in seen}))}
    for node in seen:
        content = contents[node["id"]]
        assert {name: node[name] for name in content} == content
    return set(contents)


async def by_ids(moving: Moving, ids: list[str]) -> list[Json]:
    starts = range(0, len(ids), 100)
    return [
        node
        for start in starts
        for node in (await moving.api.ask(NODES, ids=ids[start : start + 100]))["nodes"]
        if node
    ]


async def fleet_of_six(moving: Moving) -> None:
    await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
    )
    for token in range(6):
        await moving.mine(
            *minted(token, hardwareLicenseId=7),
            emitted("UserAuthorized", tokenId=token, user=USER),
            emitted("UserAuthorized", tokenId=token, user=BUYER),
        )


async def change_everything(moving: Moving) -> None:
    await moving.mine(
        emitted("ManufacturerLicensed", manufacturerId=1, account=OWNER, name="Apex"),
        emitted("HardwareLicenseRevoked", hardwareLicenseId=7),
        *(updated(token, "2.0.0") for token in range(6)),
        *(emitted("Transfer", **{"from": OWNER}, to=BUYER, tokenId=token) for token in range(6)),
        *(emitted("UserRevoked", tokenId=token, user=USER) for token in range(6)),
    )


async def test_an_id_names_one_state_in_pages_of_a_block_that_is_no_longer_the_newest(moving: Moving) -> None:
    await fleet_of_six(moving)
    first = await moving.api.ask(PAGE)
    cursor = first["devices"]["pageInfo"]["endCursor"]
    same_block = await moving.api.ask(PAGE, after=cursor)
    before = await checked_ids(moving, first, same_block)
    await change_everything(moving)
    later = await moving.api.ask(PAGE, after=cursor)
    assert [device["tokenId"] for device in later["devices"]["nodes"]] == ["2", "3"]
    assert {device["firmware"]["version"] for device in later["devices"]["nodes"]} == {"1.0.0"}
    last = await moving.api.ask(PAGE, after=later["devices"]["pageInfo"]["endCursor"])
    assert [device["tokenId"] for device in last["devices"]["nodes"]] == ["4", "5"]
    now = await moving.api.ask(PAGE, first=6)
    past = await checked_ids(moving, later, last)
    present = await checked_ids(moving, now)
    assert not past & (present | before)
    assert {device["id"] for device in first["devices"]["nodes"]} <= present
    await change_everything(moving)
    assert await checked_ids(moving, later, last) == past


async def test_the_ids_of_a_page_as_of_a_block_are_those_of_a_later_page(moving: Moving) -> None:
    await fleet_of_six(moving)
    first = (await moving.api.ask(PAGE))["devices"]
    number = moving.node.head.number
    await change_everything(moving)
    later = (await moving.api.ask(PAGE, after=first["pageInfo"]["endCursor"]))["devices"]["nodes"]
    as_of = (await moving.api.ask(PAGE, asOf={"block": str(number)}, first=6))["devices"]["nodes"]
    assert [device["id"] for device in later] == [device["id"] for device in as_of[2:4]]


async def test_a_list_inside_a_later_page_continues_from_its_device_and_from_the_device_of_now(moving: Moving) -> None:
    await fleet_of_six(moving)
    first = (await moving.api.ask(PAGE))["devices"]
    await change_everything(moving)
    device = (await moving.api.ask(PAGE, after=first["pageInfo"]["endCursor"]))["devices"]["nodes"][0]
    cursor = device["page"]["pageInfo"]["endCursor"]
    node = f"query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Device {{ {HISTORY} }} }} }}"
    present = f"query ($token: BigInt!, $after: String) {{ device(by: {{tokenId: $token}}) {{ {HISTORY} }} }}"
    by_id = (await moving.api.ask(node, id=device["id"], after=cursor))["node"]
    assert (await moving.api.ask(present, token=device["tokenId"], after=cursor))["device"] == by_id
    assert [event["kind"] for event in by_id["history"]["nodes"]] == ["USER_AUTHORIZED", "USER_AUTHORIZED"]
    whole = (await moving.api.ask(node, id=device["id"]))["node"]
    assert [event["id"] for event in whole["history"]["nodes"]] == [
        event["id"] for event in [*device["page"]["nodes"], *by_id["history"]["nodes"]]
    ]


HISTORY = "history(after: $after, first: 9) { nodes { id kind } }"


async def test_pages_of_a_device_of_now_have_ids_of_their_block_once_it_has_changed(moving: Moving) -> None:
    await fleet_of_six(moving)
    query = """query ($after: String) { device(by: {tokenId: 1}) { id owner
      history(first: 1, after: $after) { pageInfo { endCursor } nodes { id device { id owner } } } } }"""
    first = (await moving.api.ask(query))["device"]
    await change_everything(moving)
    device = (await moving.api.ask(query, after=first["history"]["pageInfo"]["endCursor"]))["device"]
    (event,) = device["history"]["nodes"]
    assert (device["id"], device["owner"]) == (first["id"], BUYER)
    assert (event["device"]["id"] != device["id"], event["device"]["owner"]) == (True, OWNER)
