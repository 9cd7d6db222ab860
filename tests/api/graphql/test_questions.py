"""Questions of fleet owners and auditors: the API's answers equal those computed from the acts on the demo fleet."""
# fixtures are imported, and arguments bear their names

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from tests.support.api.asking import Api, Json
from tests.support.fleet import Fleet
from tests.support.fleet.acts import MintPallet
from tests.support.fleet.names import DAY
from tests.support.fleet.records import Device
from tests.support.index.fleet import NOW, did, iso, semver

TOKENS = """query ($filter: DeviceFilter, $after: String) {
  devices(first: 100, after: $after, filterBy: $filter, orderBy: {field: TOKEN_ID, direction: ASC}) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { tokenId } }
  }
}"""
COUNT = "query ($filter: DeviceFilter) { devices(filterBy: $filter) { totalCount } }"


async def tokens(api: Api, filter: Json) -> list[int]:
    edges = await api.all_pages(TOKENS, "devices", filter=filter)
    token_ids = [int(edge["node"]["tokenId"]) for edge in edges]
    assert (await api.ask(COUNT, filter=filter))["devices"]["totalCount"] == len(token_ids)
    return token_ids


def those(devices: Iterable[Device], fits: Callable[[Device], bool]) -> list[int]:
    return sorted(device.token for device in devices if fits(device))


def most_common_owner(fleet: Fleet) -> str:
    owners = [device.owner for device in fleet.world.devices.values() if device.owner]
    return max(sorted(set(owners)), key=owners.count)


# Fleet owner


async def test_devices_of_an_owner_come_in_order_with_ties_in_order_of_the_chain(api: Api, fleet: Fleet) -> None:
    query = """query ($owner: Address!, $after: String) {
      devices(first: 7, after: $after, filterBy: {owner: {eq: $owner}},
              orderBy: {field: MANUFACTURED_AT, direction: ASC}) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { tokenId } }
      } }"""
    owner = most_common_owner(fleet)
    edges = await api.all_pages(query, "devices", owner=owner)
    mine = [device for device in fleet.world.devices.values() if device.owner == owner]
    assert len(mine) > 14
    expected = sorted(mine, key=lambda device: (device.manufactured_at, device.token))
    assert [int(edge["node"]["tokenId"]) for edge in edges] == [device.token for device in expected]


async def test_one_device_by_each_of_its_keys_is_the_same_device(api: Api, fleet: Fleet) -> None:
    device = next(
        device
        for device in fleet.world.devices.values()
        if len(device.addresses) > 1 and device.imei and device.serial_number and "FAIL" not in verdicts(fleet, device)
    )
    query = """query ($did: String!, $token: BigInt!, $address: Address!, $former: Address!, $imei: String!,
                      $serial: String!, $maker: BigInt!) {
      did: device(by: {tokenDID: $did}) { id }
      token: device(by: {tokenId: $token}) { id }
      address: device(by: {address: $address}) { id }
      former: device(by: {everHadAddress: $former}) { id }
      imei: device(by: {imei: $imei}) { id }
      serial: device(by: {serialNumber: {value: $serial, manufacturerId: $maker}}) { id }
    }"""
    answer = await api.ask(
        query,
        did=did(fleet, device.token),
        token=str(device.token),
        address=device.address,
        former=device.addresses[0].address,
        imei=f" {device.imei[:6]}-{device.imei[6:]} " if device.imei else None,
        serial=device.serial_number,
        maker=str(device.manufacturer),
    )
    ids = {node["id"] for node in answer.values()}
    assert len(ids) == 1
    by_id = await api.ask("query ($id: ID!) { device(by: {id: $id}) { tokenId } }", id=ids.pop())
    assert by_id["device"]["tokenId"] == str(device.token)
    for key in (
        did(fleet, device.token),
        device.address,
        device.addresses[0].address,
        device.serial_number,
        device.imei,
    ):
        assert device.token in await tokens(api, {"anyKey": key})


def verdicts(fleet: Fleet, device: Device) -> list[str]:
    checks = fleet.world.provenance(device.token)
    return [checks["imeiUnique"], checks["serialUniqueForManufacturer"], checks["addressUnique"]]


async def test_a_device_with_a_devEUI_is_found_by_it(api: Api, fleet: Fleet) -> None:
    device = next(device for device in fleet.world.devices.values() if device.dev_eui)
    answer = await api.ask("query ($eui: String!) { device(by: {devEUI: $eui}) { tokenId } }", eui=device.dev_eui)
    assert answer["device"]["tokenId"] == str(device.token)


@pytest.mark.parametrize(
    "by", [{"imei": "3", "tokenId": "1"}, {}, {"imei": None}, None], ids=["two keys", "no key", "a null key", "null"]
)
async def test_a_look_up_by_other_than_one_key_is_refused(api: Api, by: Any) -> None:
    error = await api.refusal("query ($by: DeviceBy!) { device(by: $by) { id } }", by=by)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("literal", ['{imei: "3", tokenId: 1}', "{}", "{imei: null}"])
async def test_a_literal_look_up_by_other_than_one_key_fails_validation(api: Api, literal: str) -> None:
    answer = await api.answer(f"{{ device(by: {literal}) {{ id }} }}")
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert "data" not in answer


@pytest.mark.parametrize(
    "by",
    [
        {"serialNumber": {"value": "no such serial"}},
        {"serialNumber": {"value": "a\0b"}},
        {"tokenId": "123456789"},
        {"tokenId": str(2**256)},
        {"tokenId": "-1"},
        {"tokenDID": "did:erc721:1:0x0000000000000000000000000000000000000000:1"},
        {"tokenDID": "did:web:example"},
        {"address": "0x" + "77" * 20},
        {"imei": ""},
        {"devEUI": "ffffffffffffffff"},
        {"id": "bm9uc2Vuc2U"},
        {"id": ""},
    ],
    ids=str,
)
async def test_an_unknown_key_is_null(api: Api, by: Json) -> None:
    assert await api.ask("query ($by: DeviceBy!) { device(by: $by) { id } }", by=by) == {"device": None}


async def test_a_serial_number_of_two_devices_is_refused_with_both_names_and_listed(api: Api, fleet: Fleet) -> None:
    devices = fleet.world.devices.values()
    serials = [device.serial_number for device in devices if device.serial_number]
    shared = next(serial for serial in serials if serials.count(serial) > 1)
    error = await api.refusal(
        "query ($serial: String!) { device(by: {serialNumber: {value: $serial}}) { id } }", serial=shared
    )
    both = those(devices, lambda device: device.serial_number == shared)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["reason"] == "AMBIGUOUS"
    assert sorted(error["extensions"]["candidates"]) == sorted(did(fleet, token) for token in both)
    assert await tokens(api, {"serialNumber": {"eq": shared}}) == both


async def test_an_address_is_taken_in_any_case_and_returned_with_its_checksum(api: Api, fleet: Fleet) -> None:
    address = fleet.world.devices[1].address
    query = """query ($a: Address!, $b: Address!, $c: Address!) {
      a: device(by: {address: $a}) { id address } b: device(by: {address: $b}) { id address }
      c: device(by: {address: $c}) { id address } }"""
    spellings = [address.lower(), "0x" + address[2:].upper(), to_checksum_address(address)]
    answer = await api.ask(query, **dict(zip("abc", spellings, strict=True)))
    assert answer["a"] == answer["b"] == answer["c"]
    assert answer["a"]["address"] == to_checksum_address(address)


async def test_firmware_below_a_version_is_found_by_semver(api: Api, fleet: Fleet) -> None:
    devices = fleet.world.devices.values()
    parsed = {device.token: semver(device.firmware) for device in devices}
    below = those(devices, lambda device: bool(parsed[device.token]) and parsed[device.token] < semver("2.10.0"))
    assert await tokens(api, {"firmware": {"version": {"lt": "2.10.0"}}}) == below
    assert {fleet.world.devices[token].firmware for token in below} >= {"2.9.0"}
    assert "2.10.0" not in {fleet.world.devices[token].firmware for token in below}
    unordered = those(devices, lambda device: not parsed[device.token])
    assert unordered
    assert await tokens(api, {"firmware": {"version": {"semver": False}}}) == unordered
    assert await tokens(api, {"not": {"firmware": {"version": {"lt": "2.10.0"}}}}) == sorted(
        fleet.world.devices.keys() - set(below)
    )


async def test_what_was_not_updated_since_a_date_includes_what_never_was(api: Api, fleet: Fleet) -> None:
    date = NOW - 60 * DAY
    token_ids = await tokens(api, {"not": {"lastFirmwareUpdateAt": {"gte": iso(date)}}})
    devices = fleet.world.devices.values()
    assert token_ids == those(devices, lambda device: (device.firmware_updated_at or 0) < date)
    assert {fleet.world.devices[token].firmware_updated_at is None for token in token_ids} == {True, False}


async def test_many_resets_in_thirty_days_are_found(api: Api, fleet: Fleet) -> None:
    since = NOW - 30 * DAY
    devices = fleet.world.devices.values()
    filter = {"factoryResetsSince": {"since": iso(since), "count": {"gt": 2}}}
    expected = those(devices, lambda device: device.resets_since(since) > 2)
    assert expected
    assert await tokens(api, filter) == expected
    none = {"factoryResetsSince": {"since": iso(since), "count": {"eq": 0}}}
    assert await tokens(api, none) == those(devices, lambda device: device.resets_since(since) == 0)


@pytest.mark.parametrize("days", [0, 200, 400])
async def test_who_was_authorized_then_is_returned_in_both_directions(api: Api, fleet: Fleet, days: int) -> None:
    then = NOW - days * DAY
    past = fleet.world_at(then)
    organization = most_granted(fleet)
    granted = [
        (grant.user.lower(), token)
        for token, device in past.devices.items()
        for grant in device.users(then)
        if grant.organization == organization
    ]
    query = """query ($org: String!, $then: DateTime, $did: String!) {
      authorizations(first: 100, filterBy: {organization: {eq: $org}}, activeAt: $then) {
        totalCount nodes { user device { tokenId } } }
      device(by: {tokenDID: $did}) { authorizedUsers(activeAt: $then) { totalCount nodes { user organization } } }
    }"""
    token = granted[0][1] if granted else 1
    answer = await api.ask(query, org=organization, then=iso(then), did=did(fleet, token))
    pairs = [(node["user"].lower(), int(node["device"]["tokenId"])) for node in answer["authorizations"]["nodes"]]
    assert sorted(pairs) == sorted(granted)
    assert answer["authorizations"]["totalCount"] == len(granted)
    users = past.devices[token].users(then) if token in past.devices else []
    assert [node["user"].lower() for node in answer["device"]["authorizedUsers"]["nodes"]] == [
        grant.user.lower() for grant in users
    ]
    filter = {"authorizedUser": {"organization": {"eq": organization}, "activeAt": iso(then)}}
    assert await tokens(api, filter) == sorted({token for _, token in granted})


def most_granted(fleet: Fleet) -> str:
    names = [grant.organization for device in fleet.world.devices.values() for grant in device.grants]
    return max(sorted(set(names) - {""}), key=names.count)


# Auditor


async def test_a_history_pages_through_in_order_of_block_transaction_and_log(api: Api, fleet: Fleet) -> None:
    device = max(fleet.world.devices.values(), key=lambda device: len(device.history))
    query = """query ($did: String!, $after: String) { device(by: {tokenDID: $did}) {
      history(first: 4, after: $after) { totalCount pageInfo { hasNextPage endCursor } nodes {
        kind recordTime block { number } transactionIndex logIndex } } } }"""
    events: list[Json] = []
    after = None
    while True:
        page = (await api.ask(query, did=did(fleet, device.token), after=after))["device"]["history"]
        events += page["nodes"]
        assert page["totalCount"] == len(device.history)
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert [(event["kind"], event["recordTime"]) for event in events] == [
        (entry.kind, iso(entry.record_time)) for entry in device.history
    ]
    places = [(int(event["block"]["number"]), event["transactionIndex"], event["logIndex"]) for event in events]
    assert places == sorted(places)


async def test_a_history_is_filtered_by_business_step_and_half_open_time(api: Api, fleet: Fleet) -> None:
    device = max(fleet.world.devices.values(), key=lambda device: len(device.tests))
    tested = sorted(test.tested_at for test in device.tests)
    start, end = tested[0], tested[-1]
    query = """query ($did: String!, $from: DateTime!, $to: DateTime!) { device(by: {tokenDID: $did}) {
      history(filterBy: {bizStep: {eq: "inspecting"}, eventTime: {gte: $from, lt: $to}},
              orderBy: {field: EVENT_TIME, direction: DESC}) {
        totalCount nodes { eventTime action bizStep disposition ... on TestRecorded { passed } } } } }"""
    answer = await api.ask(query, did=did(fleet, device.token), **{"from": iso(start), "to": iso(end)})
    expected = sorted((test for test in device.tests if start <= test.tested_at < end), key=lambda test: test.tested_at)
    assert answer["device"]["history"]["nodes"] == [
        {
            "eventTime": iso(test.tested_at),
            "action": "OBSERVE",
            "bizStep": "inspecting",
            "disposition": "conformant" if test.passed else "non_conformant",
            "passed": test.passed,
        }
        for test in reversed(expected)
    ]
    assert answer["device"]["history"]["totalCount"] == len(expected) > 0


async def test_a_manufacturers_batch_is_found_by_the_transaction_that_minted_it(api: Api, fleet: Fleet) -> None:
    pallet, mint = next(
        (done, done.act) for done in fleet.recorded if isinstance(done.act, MintPallet) and len(done.act.drafts) > 1
    )
    first = mint.first_token
    batch = list(range(first, first + len(mint.drafts)))
    filter = {"mintTransactionHash": {"eq": pallet.transaction_hash}}
    assert await tokens(api, filter) == batch
    maker = fleet.world.devices[first].manufacturer
    assert await tokens(api, filter | {"manufacturerId": {"eq": str(maker)}}) == batch
    assert await tokens(api, filter | {"manufacturerId": {"ne": str(maker)}}) == []


@pytest.mark.parametrize(
    ("filter", "check", "verdict"),
    [
        ("qualityInspection", "qualityInspectionPassed", "FAIL"),
        ("qualityInspection", "qualityInspectionPassed", "UNKNOWN"),
        ("inCircuitTest", "inCircuitTestPassed", "PASS"),
        ("mechanicalTest", "mechanicalTestPassed", "FAIL"),
        ("provisionedAfterQuality", "provisionedAfterQuality", "FAIL"),
        ("noActivityAfterEndOfLife", "noActivityAfterEndOfLife", "FAIL"),
        ("noActivityAfterEndOfLife", "noActivityAfterEndOfLife", "NOT_APPLICABLE"),
        ("sanitizedBeforeDisposal", "sanitizedBeforeDisposal", "FAIL"),
        ("sanitizedBeforeDisposal", "sanitizedBeforeDisposal", "UNKNOWN"),
        ("manufacturerLicensedAtMint", "manufacturerLicensedAtMint", "PASS"),
        ("hardwareLicensedAtMint", "hardwareLicensedAtMint", "PASS"),
        ("imeiValid", "imeiValid", "FAIL"),
        ("imeiValid", "imeiValid", "NOT_APPLICABLE"),
    ],
)
async def test_a_filter_and_a_check_give_the_same_verdict(
    api: Api, fleet: Fleet, filter: str, check: str, verdict: str
) -> None:
    expected = those(
        fleet.world.devices.values(), lambda device: fleet.world.provenance(device.token)[check] == verdict
    )
    assert expected
    assert await tokens(api, {filter: {"eq": verdict}}) == expected
    assert await tokens(api, {filter: {"ne": verdict}}) == sorted(fleet.world.devices.keys() - set(expected))


async def test_what_was_recycled_without_sanitization_is_found(api: Api, fleet: Fleet) -> None:
    filter = {
        "endOfLifeStatus": {"in": ["RECYCLED", "DISPOSED"]},
        "sanitizedBeforeDisposal": {"in": ["FAIL", "UNKNOWN"]},
    }
    expected = those(
        fleet.world.devices.values(),
        lambda device: (
            device.end_of_life in ("RECYCLED", "DISPOSED")
            and fleet.world.provenance(device.token)["sanitizedBeforeDisposal"] in ("FAIL", "UNKNOWN")
        ),
    )
    assert expected
    assert await tokens(api, filter) == expected


async def test_licenses_are_judged_by_the_clock_of_the_answer(api: Api, fleet: Fleet) -> None:
    query = """query ($at: DateTime!, $asOf: AsOf) {
      manufacturers(asOf: $asOf) { nodes { tokenId license { status at: status(at: $at) } } }
      valid: manufacturers(asOf: $asOf, filterBy: {licenseStatus: {eq: VALID}}) { totalCount nodes { tokenId } }
      hardwareLicenses(asOf: $asOf) { nodes { hardwareLicenseId license { status at: status(at: $at) } } }
      other: hardwareLicenses(asOf: $asOf, filterBy: {licenseStatus: {ne: VALID}}) { nodes { hardwareLicenseId } }
    }"""
    then = NOW - 120 * DAY
    for clock, as_of in ((NOW, None), (then, {"timestamp": iso(then)})):
        world, past = fleet.world_at(clock), fleet.world_at(then)
        answer = await api.ask(query, at=iso(then), asOf=as_of)
        licenses = {int(node["tokenId"]): node["license"] for node in answer["manufacturers"]["nodes"]}
        assert licenses == {
            number: {"status": maker.license.status(clock), "at": past.manufacturers[number].license.status(then)}
            for number, maker in world.manufacturers.items()
        }
        assert {int(node["tokenId"]) for node in answer["valid"]["nodes"]} == {
            number for number, maker in world.manufacturers.items() if maker.license.status(clock) == "VALID"
        }
        licenses = {int(node["hardwareLicenseId"]): node["license"] for node in answer["hardwareLicenses"]["nodes"]}
        assert licenses == {
            number: {"status": model.license.status(clock), "at": past.models[number].license.status(then)}
            for number, model in world.models.items()
        }
        assert {int(node["hardwareLicenseId"]) for node in answer["other"]["nodes"]} == {
            number for number, model in world.models.items() if model.license.status(clock) != "VALID"
        }


async def test_every_event_of_the_chain_is_listed_once(api: Api, fleet: Fleet) -> None:
    query = """query ($after: String) { lifecycleEvents(first: 100, after: $after) { totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id kind } } } }"""
    edges = await api.all_pages(query, "lifecycleEvents")
    assert len({edge["node"]["id"] for edge in edges}) == len(edges) == sum(fleet.world.events.values())
    for kind, count in fleet.world.events.items():
        assert sum(edge["node"]["kind"] == kind for edge in edges) == count
        counted = await api.ask(
            "query ($kind: LifecycleEventKind!) { lifecycleEvents(filterBy: {kind: {eq: $kind}}) { totalCount } }",
            kind=kind,
        )
        assert counted["lifecycleEvents"]["totalCount"] == count


async def test_meta_shows_what_is_watched_and_how_far(api: Api, fleet: Fleet) -> None:
    answer = await api.ask("""{ _meta { version chains { chainId profile contracts { role address startBlock }
      head { number } finalized { number } indexed { number hash timestamp } lagBlocks lagSeconds synced
      verifiedThrough undecodableEvents orphanedBlocks failingSince lastError digest digestThrough polledAt
      backfilled writer standbys stopped } } }""")
    (chain,) = answer["_meta"]["chains"]
    assert chain["chainId"] == str(fleet.chain.chain_id)
    assert chain["profile"] == "device-certificate"
    assert chain["contracts"] == [
        {
            "role": "certificate",
            "address": to_checksum_address(fleet.contract.address),
            "startBlock": str(fleet.start_block),
        }
    ]
    assert int(chain["indexed"]["number"]) == int(chain["head"]["number"]) == fleet.chain.block_number
    assert chain["indexed"]["timestamp"] == iso(NOW)
    assert (chain["lagBlocks"], chain["lagSeconds"], chain["undecodableEvents"], chain["orphanedBlocks"]) == (
        "0",
        0,
        "0",
        "0",
    )
    assert (chain["failingSince"], chain["lastError"]) == (None, None)
    assert (chain["backfilled"], chain["stopped"], chain["writer"], chain["standbys"]) == (True, False, None, [])
    assert len(chain["digest"]) == 66


@pytest.mark.parametrize("check", ["imeiUnique", "serialUniqueForManufacturer"])
async def test_the_filter_of_a_check_finds_the_devices_with_that_verdict(api: Api, check: str) -> None:
    verdicts: dict[str, set[str]] = {verdict: set() for verdict in ("PASS", "FAIL", "UNKNOWN", "NOT_APPLICABLE")}
    for point in (None, {"block": "150"}):
        for verdict, devices in verdicts.items():
            devices.clear()
            async for device in _devices(api, {check: {"eq": verdict}}, check, point):
                devices.add(device["tokenDID"])
                assert device["provenance"][check]["verdict"] == verdict, device
        everything = [device["tokenDID"] async for device in _devices(api, None, check, point)]
        assert sum(map(len, verdicts.values())) == len(everything)
        assert bool(verdicts["FAIL"]) == (check == "imeiUnique")


async def _devices(api: Api, filter: Any, check: str, point: Any) -> AsyncIterator[Any]:
    query = f"""query ($filter: DeviceFilter, $after: String, $asOf: AsOf) {{
      devices(filterBy: $filter, first: 100, after: $after, asOf: $asOf) {{
        pageInfo {{ hasNextPage endCursor }} nodes {{ tokenDID provenance {{ {check} {{ verdict }} }} }} }} }}"""
    page: Any = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        page = (await api.ask(query, filter=filter, after=after, asOf=point))["devices"]
        for device in page["nodes"]:
            yield device
