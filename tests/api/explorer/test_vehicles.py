"""The pages of vehicles and synthetic devices, and how other pages lead to them."""

import asyncio
import csv
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from eth_utils.address import to_checksum_address
from playwright.sync_api import Browser, expect

from api.settings import Settings
from tests.support.api.browser import AXE, LOOKS, Tab
from tests.support.api.pages import get_page
from tests.support.api.server import serving
from tests.support.checking import check
from tests.support.databases import NewDatabase, on_sqlite
from tests.support.dimo.logs import ALICE, BOB, DEVICES, index
from tests.support.dimo.vehicles import CAROL, CHAIN_ID, LINK, SYNTHETICS, VEHICLES, set_vehicle, vehicle_chain
from tests.support.index.indexing import engine_of

SCRIPT = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>\u202e" + "x" * 300


def path(kind: str, contract: bytes, token: int) -> str:
    return f"/{kind}/did:erc721:{CHAIN_ID}:0x{contract.hex()}:{token}"


def vehicle(token: int) -> str:
    return path("vehicle", VEHICLES, token)


def synthetic(token: int) -> str:
    return path("synthetic-device", SYNTHETICS, token)


DEVICE = path("device", DEVICES, 9)
PATHS = (
    "/vehicles",
    *map(vehicle, (1, 2, 3)),
    *map(synthetic, (1, 2)),
    DEVICE,
    f"/owner/0x{ALICE.hex()}",
    f"/user/0x{CAROL.hex()}",
)


@pytest.fixture(scope="module")
def register(new_module_database: NewDatabase) -> Iterator[str]:
    """The address of the explorer over vehicles, one with a hostile attribute, on SQLite, then on PostgreSQL."""
    url, node = new_module_database(), vehicle_chain()
    node.mine(set_vehicle(2, SCRIPT, SCRIPT))
    with engine_of(url) as engine, ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one
        thread.submit(asyncio.run, index(engine, node)).result()
    with serving(Settings(database_url=url)) as address:
        yield address


def lower(links: list[str]) -> set[str]:
    return {link.lower() for link in links}


def test_a_vehicle_shows_its_facts_with_their_logs_its_devices_its_grants_and_its_history(register: str) -> None:
    page = get_page(f"{register}{vehicle(1)}")
    assert page.status == 200
    for text in (
        "ford_focus_2020",
        "Maker 1",
        "SN-9",
        "of Ruptela",
        "privilege:3",
        "2 grants are in force",
        "9 events",
    ):
        assert text in page.text, text
    assert {DEVICE, synthetic(2), f"/owner/0x{ALICE.hex()}", f"/user/0x{BOB.hex()}"} <= lower(page.links)
    assert {"/manufacturer/1", "/block/2", "/block/5"} <= set(page.links)


def test_a_burned_vehicle_keeps_its_history_and_has_no_owner(register: str) -> None:
    page = get_page(f"{register}{vehicle(3)}")
    assert "none: the vehicle was burned" in page.text
    assert "Burned" in page.text
    before = get_page(f"{register}{vehicle(3)}?asOf=5")
    assert f"/owner/0x{CAROL.hex()}?asof=5" in lower(before.links)


def test_a_transfer_ended_the_grants_on_a_vehicle_and_the_past_keeps_them(register: str) -> None:
    now, past = (get_page(f"{register}{vehicle(2)}{as_of}").text for as_of in ("", "?asOf=10"))
    assert "Ended by transfer" in now
    assert "kia_ev6_2022" in now
    assert "Ended by transfer" not in past
    assert "kia_niro_2021" in past


def test_a_synthetic_device_shows_its_vehicle_and_its_service(register: str) -> None:
    page = get_page(f"{register}{synthetic(2)}")
    for text in ("Ruptela", "ExternalId", "x-1", "2 grants are in force"):
        assert text in page.text, text
    assert {vehicle(1), DEVICE} <= lower(page.links)
    burned = get_page(f"{register}{synthetic(1)}").text
    assert "none: the synthetic device was burned" in burned
    assert "integration 2" in burned


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        (vehicle(99), 404, "There is no vehicle"),
        (synthetic(99), 404, "There is no synthetic device"),
        (f"{vehicle(3)}?asOf=2", 404, "There was no vehicle"),
        ("/vehicle/5", 400, "is not the DID of a vehicle"),
        ("/synthetic-device/5", 400, "is not the DID of a synthetic device"),
        (path("vehicle", DEVICES, 9), 404, "There is no vehicle"),
    ],
)
def test_a_wrong_address_says_what_is_not_there(register: str, address: str, status: int, words: str) -> None:
    page = get_page(f"{register}{address}")
    assert page.status == status
    assert words in page.text


def test_a_device_leads_to_its_vehicle_and_the_feed_has_sentences(register: str) -> None:
    assert vehicle(1) in lower(get_page(f"{register}{DEVICE}").links)
    feed = " ".join(get_page(f"{register}/events?order=oldest").text.split())
    for sentence in (
        "as ford_focus_2020",
        "Make of vehicle 1 set to Ford",
        "Synthetic device 2 minted for vehicle 1",
        "on synthetic device 2",
        "on manufacturer Maker 1",
        "Definition of vehicle 2 set to kia_ev6_2022",
        "Synthetic device 1 of vehicle 2 burned",
        "Vehicle 3 burned",
        "ExternalId of synthetic device 2 set to x-1",
    ):
        assert sentence in feed, sentence


@pytest.mark.parametrize(
    ("key", "leads_to"),
    [
        ("2", {vehicle(2), synthetic(2)}),
        (vehicle(3).removeprefix("/vehicle/"), {vehicle(3)}),
        (synthetic(1).removeprefix("/synthetic-device/"), {synthetic(1)}),
        (f"0x{LINK.hex()}", {synthetic(2)}),
        (f"0x{CAROL.hex()}", {f"/user/0x{CAROL.hex()}"}),
        (f"0x{BOB.hex()}", {f"/owner/0x{BOB.hex()}", f"/user/0x{BOB.hex()}"}),
    ],
)
def test_a_key_leads_to_vehicles_synthetic_devices_and_their_accounts(
    register: str, key: str, leads_to: set[str]
) -> None:
    page = get_page(f"{register}/search?q={quote(key)}")
    assert leads_to <= lower([*page.links, page.response.headers.get("location", "")])


def test_an_account_lists_its_vehicles_and_those_that_are_shared_with_it(register: str) -> None:
    owner = get_page(f"{register}/owner/0x{ALICE.hex()}")
    assert "Owned vehicles" in owner.text
    assert vehicle(1) in lower(owner.links)
    user = get_page(f"{register}/user/0x{CAROL.hex()}")
    assert "Vehicles shared with this account" in user.text
    assert vehicle(1) in lower(user.links)
    assert "vehicles" not in get_page(f"{register}/owner/0x{'11' * 20}").text


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        ("", [3, 2, 1]),
        ("?order=oldest", [1, 2, 3]),
        ("?state=active&order=token", [1, 2]),
        ("?state=burned", [3]),
        ("?manufacturer=2", [3, 2]),
        ("?definition=kia_", [3, 2]),
        (f"?owner=0x{ALICE.hex()}", [1]),
        (f"?user=0x{CAROL.hex()}", [1]),
        ("?device=9", [1]),
        ("?minted-to=2023-01-01", []),
        ("?asOf=3", [2, 1]),
    ],
)
def test_the_list_has_filters_orders_and_files_as_of_any_point(register: str, query: str, tokens: list[int]) -> None:
    page = get_page(f"{register}/vehicles{query}")
    assert page.status == 200
    links = lower([link.partition("?")[0] for link in page.links_to("/vehicle/")])
    assert links == {vehicle(token) for token in tokens}
    assert f"{len(tokens)} vehicle" in page.text
    if not tokens:
        assert "No vehicle matches" in page.text
        return
    with urlopen(f"{register}{page.link('/export/vehicles.csv')}") as response:
        rows = list(csv.DictReader(response.read().decode().splitlines()))
    assert [int(row["tokenId"]) for row in rows] == tokens


def test_the_files_have_the_devices_of_vehicles(register: str) -> None:
    with urlopen(f"{register}/export/vehicles.ndjson") as response:
        rows = {row["tokenId"]: row for row in map(json.loads, response)}
    assert rows["1"]["device"]["serialNumber"] == "SN-9"
    assert rows["1"]["syntheticDevice"]["tokenDID"].lower() == synthetic(2).rpartition("/")[2]
    assert (rows["3"]["owner"], rows["3"]["device"]) == (None, None)
    with urlopen(f"{register}/export/synthetic-devices.ndjson") as response:
        devices = {row["tokenId"]: row for row in map(json.loads, response)}
    assert (devices["2"]["connection"], devices["1"]["integrationId"]) == ("Ruptela", "2")
    assert devices["1"]["burnedAt"] is not None


def test_the_file_of_grants_says_what_each_is_for(register: str) -> None:
    with urlopen(f"{register}/export/authorizations.csv?scope=ALL") as response:
        rows = list(csv.DictReader(response.read().decode().splitlines()))
    columns = ("subject.tokenDID", "subject.manufacturerDID", "subject.address")
    subjects = {(row["subjectKind"], "".join(row[name] for name in columns).rpartition(":")[2]) for row in rows}
    assert subjects == {
        ("DEVICE", "9"),
        ("VEHICLE", "1"),
        ("VEHICLE", "2"),
        ("SYNTHETIC_DEVICE", "2"),
        ("MANUFACTURER", "1"),
        ("ACCOUNT", to_checksum_address(ALICE)),
        ("ACCOUNT", to_checksum_address(BOB)),
    }
    assert all((row["device.tokenDID"] != "") == (row["subjectKind"] == "DEVICE") for row in rows)


def test_the_register_of_access_names_what_each_grant_is_for(register: str) -> None:
    page = get_page(f"{register}/reports/access")
    subjects = [vehicle(1), vehicle(2), synthetic(2), DEVICE, "/manufacturer/1", f"/owner/0x{ALICE.hex()}"]
    assert lower(subjects) <= lower(page.links)
    assert "All that" in page.text
    assert "Vehicle 1" in page.text


@pytest.mark.parametrize("query", ["?state=BROKEN", "?order=size", "?owner=nobody", "?device=one"])
def test_a_filter_that_does_not_exist_is_explained(register: str, query: str) -> None:
    page = get_page(f"{register}/vehicles{query}")
    assert page.status == 400
    assert query.partition("=")[2] in page.text


def test_the_header_leads_to_the_list_where_there_are_vehicles(register: str) -> None:
    assert "/vehicles" in get_page(f"{register}/").links


@on_sqlite("new_module_database")
@pytest.mark.parametrize(("address", "bundle"), [(vehicle(1), "vehicles"), (synthetic(2), "synthetic-devices")])
def test_a_page_offers_the_bundle_and_checks_it_in_place(
    register: str, browser: Browser, address: str, bundle: str
) -> None:
    did = address.rpartition("/")[2]
    with urlopen(f"{register}/{bundle}/{did}/bundle.json") as response:
        assert check(response.read(), {}).did == did
        assert response.headers["Bundle-Status"].startswith("INCOMPLETE")
        assert f'filename="{bundle[:-1]}-' in response.headers["Content-Disposition"]
    tab = Tab(browser, register)
    tab.open(address)
    tab.page.get_by_role("link", name="Check this yourself").click()
    expect(tab.page.locator(".verdict-warn")).to_contain_text(did)
    assert tab.complaints == []
    tab.page.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"/devices/{vehicle(1)[9:]}", "There is no device did:"),
        (f"/vehicles/{vehicle(9)[9:]}", "There is no vehicle did:"),
        ("/synthetic-devices/42", "is not the DID of a synthetic device"),
    ],
)
def test_a_bundle_that_does_not_exist_is_named(register: str, address: str, message: str) -> None:
    with pytest.raises(HTTPError) as error:
        urlopen(f"{register}{address}/bundle.json")
    assert error.value.code in (400, 404)
    assert message in error.value.read().decode()


@pytest.mark.slow
@on_sqlite("new_module_database")
def test_no_text_runs_or_breaks_the_layout_and_axe_finds_nothing(register: str, browser: Browser) -> None:
    tab = Tab(browser, register)
    tab.page.add_init_script(path=AXE)
    tab.page.emulate_media(reduced_motion="reduce")
    for address in PATHS:
        assert tab.open(address).status == 200
        for width, scheme, rules in LOOKS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.overflow() <= 0, address
            violations = tab.page.evaluate("rules => axe.run({ runOnly: rules }).then(run => run.violations)", rules)
            assert violations == [], address
        assert tab.page.evaluate("window.ran") is None
    assert tab.complaints == []
    tab.page.close()
