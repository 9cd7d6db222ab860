"""Every page over HTTP, on both databases: what it shows, its status, and its headers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest

from api.app import create_app
from api.credentials.keys import new_key
from api.explorer.pages.events import CHOICES
from api.explorer.pages.events import FILTERS as EVENT_FILTERS
from api.settings import Settings
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, MAX_SECONDS, post, serving, with_one_device
from tests.support.databases import Kind

DEVICE = f"/device/did:erc721:31337:0x{'00' * 20}:1"


@pytest.fixture(scope="module")
def did(site: str) -> str:
    """The DID of a recycled device of the fleet."""
    query = "{ devices(first: 1, filterBy: {endOfLifeStatus: {eq: RECYCLED}}) { nodes { tokenDID } } }"
    answer = post(f"{site}/graphql", {"query": query}).json()
    return str(answer["data"]["devices"]["nodes"][0]["tokenDID"])


def device(site: str, did: str, fields: str) -> dict[str, object]:
    query = f"query ($did: String!) {{ device(by: {{tokenDID: $did}}) {{ {fields} }} }}"
    answer = post(f"{site}/graphql", {"query": query, "variables": {"did": did}}).json()
    found: dict[str, object] = answer["data"]["device"]
    return found


def test_the_start_page_searches_and_shows_the_latest_events(site: str) -> None:
    page = get_page(f"{site}/")
    assert page.status == 200
    assert "Is this device genuine?" in page.text
    assert page.link("/device/did:erc721:")
    for link in page.links_to("/devices"):
        assert get_page(f"{site}{link}").status == 200
    assert page.link("/graphql#query=")
    assert "/vehicles" not in page.links, "the profile has none"


def test_a_serial_number_leads_to_its_device(site: str, did: str) -> None:
    serial = device(site, did, "serialNumber")["serialNumber"]
    page = get_page(f"{site}/search?q={serial}", follow=True)
    assert page.response.url.path == f"/device/{did}"
    assert str(serial) in page.text


def test_a_serial_number_in_small_letters_leads_to_its_device(site: str, did: str) -> None:
    serial = str(device(site, did, "serialNumber")["serialNumber"])
    assert serial.lower() != serial
    assert get_page(f"{site}/search?q={serial.lower()}", follow=True).response.url.path == f"/device/{did}"


@pytest.mark.parametrize("key", ["imei { value }", "address", "tokenDID"])
def test_every_key_of_a_device_leads_to_it(site: str, did: str, key: str) -> None:
    value = device(site, did, key)[key.split()[0]]
    text = value["value"] if isinstance(value, dict) else value
    page = get_page(f"{site}/search?q={text}")
    assert page.status in (200, 303)
    assert f"/device/{did}" in [*page.links, page.response.headers.get("location")]


def test_the_start_of_a_serial_number_leads_to_the_devices_that_have_it(site: str) -> None:
    page = get_page(f"{site}/search?q=sn-0001")
    assert "The first 20 serial numbers that begin with it are shown." in page.text
    names = re.findall(r"SN-0001\d\d", page.text)
    assert len(names) == 20
    assert names == sorted(names)
    assert len(get_page(f"{site}/search?q=SN-00015").links_to("/device/")) == 10
    assert get_page(f"{site}/search?q={names[0]}", follow=True).response.url.path.startswith("/device/")


def test_a_key_that_nobody_has_says_so_and_what_can_be_searched(site: str) -> None:
    page = get_page(f"{site}/search?q=nobody-has-this")
    assert page.status == 200
    assert "Nothing in this register has this key" in page.text


def test_a_device_shows_all_sections_of_its_certificate(site: str, did: str) -> None:
    page = get_page(f"{site}/device/{did}")
    assert page.status == 200
    for section in (
        *("Serial number", "IMEI", "0x address", "Manufacturer", "Manufacturer license", "Manufactured"),
        *("Hardware license", "In-circuit test", "Mechanical test", "Quality inspection", "Initial firmware"),
        *("Provisioned", "Authorized users", "Factory resets", "Firmware", "End of life"),
    ):
        assert section in page.text
    assert "Recycled" in page.text
    assert page.link(f"/devices/{did}/bundle.json")


def test_a_device_links_its_did_document_and_its_credential(fleet_database: Callable[[Kind], str], did: str) -> None:
    settings = Settings(database_url=fleet_database("sqlite"), base_url="https://a.example", signing_key=new_key())
    with serving(settings) as site:
        page = get_page(f"{site}/device/{did}")
        for link in (f"/1.0/identifiers/{did}", f"/device/{did}/credential"):
            assert page.link(link)
            assert CLIENT.get(f"{site}{link}", headers={"accept": "text/html,*/*;q=0.8"}).status_code == 200


def test_without_a_key_no_credential_is_linked(site: str, did: str) -> None:
    page = get_page(f"{site}/device/{did}")
    assert page.link(f"/1.0/identifiers/{did}")
    assert f"/device/{did}/credential" not in page.links


def test_the_list_of_devices_is_filtered_and_ordered_by_its_address(site: str) -> None:
    query = "{ devices(filterBy: {endOfLifeStatus: {eq: RECYCLED}}) { totalCount nodes { tokenDID } } }"
    recycled = post(f"{site}/graphql", {"query": query}).json()["data"]["devices"]
    page = get_page(f"{site}/devices?state=RECYCLED&order=newest")
    assert f"{recycled['totalCount']} devices match" in page.text
    assert page.links_to("/device/") == [f"/device/{device['tokenDID']}" for device in recycled["nodes"]]
    assert "No device matches" in get_page(f"{site}/devices?firmware=nobody-has-it").text


def test_the_feed_is_filtered_and_ordered_by_its_address(site: str) -> None:
    query = "{ lifecycleEvents(filterBy: {kind: {eq: FACTORY_RESET}}) { totalCount } }"
    resets = post(f"{site}/graphql", {"query": query}).json()["data"]["lifecycleEvents"]["totalCount"]
    page = get_page(f"{site}/events?kind=FACTORY_RESET&order=oldest")
    assert f"{resets} events match" in page.text
    assert "/events?order=oldest" in page.links  # without the condition
    assert "No event matches" in get_page(f"{site}/events?from=2999-01-01").text


@pytest.mark.parametrize("name", EVENT_FILTERS)
def test_every_filter_of_the_feed_is_answered(site: str, name: str) -> None:
    values = {
        **{name: next(iter(values)) for name, values in CHOICES.items()},
        **dict.fromkeys(("from", "to", "happened-from", "happened-to"), "2025-06-01"),
        "tx": f"0x{'77' * 32}",
        "contract": f"0x{'77' * 20}",
        "device": "SN-1",
    }
    page = get_page(f"{site}/events?{name}={values.get(name, '1')}")
    assert page.status == 200
    assert "match" in page.text


def test_the_feed_is_read_page_by_page(site: str) -> None:
    first = get_page(f"{site}/events")
    second = get_page(f"{site}{first.link('/events?after=')}")
    assert not set(first.links_to("/tx/")) & set(second.links_to("/tx/"))
    assert "data-stream" in first.response.text


def test_the_audit_counts_what_its_lists_and_its_queries_list(site: str) -> None:
    page = get_page(f"{site}/audit")
    assert page.status == 200
    lists = page.links_to("/devices?fails=")
    assert lists
    for link in lists:
        check = link.partition("=")[2]
        query = f"{{ devices(filterBy: {{{check}: {{eq: FAIL}}}}) {{ totalCount }} }}"
        count = post(f"{site}/graphql", {"query": query}).json()["data"]["devices"]["totalCount"]
        assert f"{count} device" in page.text
        assert f"{count} device" in get_page(f"{site}{link}").text
    fragments = [parse_qs(link.partition("#")[2]) for link in page.links_to("/graphql#query=")]
    assert len(fragments) > len(lists)
    for fragment in fragments:
        body = {"query": fragment["query"][0], "variables": json.loads(fragment["variables"][0])}
        assert "errors" not in post(f"{site}/graphql", body).json()
    assert "as it was then" in get_page(f"{site}/audit?asOf=150").text


def test_a_list_is_read_page_by_page_and_back(site: str) -> None:
    first = get_page(f"{site}/devices?order=token")
    second = get_page(f"{site}{first.link('/devices?order=token&after=')}")
    again = get_page(f"{site}{second.link('/devices?order=token&before=')}")
    assert not set(first.links_to("/device/")) & set(second.links_to("/device/"))
    assert again.links_to("/device/") == first.links_to("/device/")


def test_an_owner_has_a_page_with_the_devices_and_what_needs_attention(site: str, did: str) -> None:
    owner = device(site, did, "owner")["owner"]
    page = get_page(f"{site}/owner/{owner}")
    assert page.status == 200
    assert f"/device/{did}" in page.links
    assert "Needs attention" in page.text


def test_a_user_has_a_page_with_what_is_shared(site: str) -> None:
    query = "{ authorizations(first: 1) { nodes { user organization device { tokenDID } } } }"
    [grant] = post(f"{site}/graphql", {"query": query}).json()["data"]["authorizations"]["nodes"]
    page = get_page(f"{site}/user/{grant['user']}")
    assert grant["organization"] in page.text
    assert f"/device/{grant['device']['tokenDID']}" in page.links


def test_the_certificate_names_its_block_its_events_and_what_is_not_proven(site: str, did: str) -> None:
    page = get_page(f"{site}/device/{did}/certificate")
    as_of = device(site, did, "asOf { hash }")["asOf"]
    assert isinstance(as_of, dict)
    assert as_of["hash"] in page.text
    assert did in page.text
    assert "Not proven:" in page.text
    assert 'class="qr"' in page.response.text


def test_the_list_of_manufacturers_names_each_license_and_what_needs_attention(site: str) -> None:
    query = "{ manufacturers(filterBy: {licenseStatus: {eq: REVOKED}}) { nodes { tokenId name } } }"
    revoked = post(f"{site}/graphql", {"query": query}).json()["data"]["manufacturers"]["nodes"]
    page = get_page(f"{site}/manufacturers?license=REVOKED")
    assert page.links_to("/manufacturer/") == [f"/manufacturer/{maker['tokenId']}" for maker in revoked]
    assert revoked[0]["name"] in page.text
    assert "No manufacturer matches" in get_page(f"{site}/manufacturers?name=Nobody").text
    assert get_page(f"{site}/manufacturers?order=name").status == 200


def test_a_manufacturer_shows_its_license_its_models_and_how_often_its_updates_fail(site: str) -> None:
    query = """{ manufacturers { nodes { tokenId name hardwareLicenses { nodes { hardwareLicenseId } } } }
      failureStatistics(filterBy: {manufacturerId: {eq: 1}}) { activity count failed } }"""
    answer = post(f"{site}/graphql", {"query": query}).json()["data"]
    maker = next(maker for maker in answer["manufacturers"]["nodes"] if maker["tokenId"] == "1")
    page = get_page(f"{site}/manufacturer/1")
    assert maker["name"] in page.text
    models = {f"/model/{model['hardwareLicenseId']}" for model in maker["hardwareLicenses"]["nodes"]}
    assert models <= set(page.links)
    updates = [row for row in answer["failureStatistics"] if row["activity"] == "FIRMWARE_UPDATE"]
    count, failed = (sum(row[name] for row in updates) for name in ("count", "failed"))
    assert f"{failed} of {count} failed" in page.text
    assert get_page(f"{site}{page.link('/devices?manufacturer=1')}").status == 200


def test_an_id_that_two_networks_have_is_a_choice(database_url: str) -> None:
    for chain_id in (1, 2):
        with_one_device(database_url, chain_id=chain_id)
    with serving(Settings(database_url=database_url)) as site:
        for thing, id in (("manufacturer", 1), ("model", 10)):
            page = get_page(f"{site}/{thing}/{id}")
            assert page.status == 300
            choices = page.links_to(f"/{thing}/{id}?chain=")
            assert len(choices) == 2
            for chain_id, choice in enumerate(choices, start=1):
                chosen = get_page(f"{site}{choice}")
                assert chosen.status == 200
                assert len(chosen.links_to("/device/")) == 1
                assert f"chain={chain_id}" in chosen.link("/devices?")
        assert "?chain=" in get_page(f"{site}/devices").link("/manufacturer/")


def test_a_model_shows_why_its_license_was_revoked_and_what_it_was_before(site: str) -> None:
    query = """{ hardwareLicenses(filterBy: {licenseStatus: {eq: REVOKED}}, first: 1) { nodes {
      hardwareLicenseId model license { revocationReason grantedAt } } } }"""
    (model,) = post(f"{site}/graphql", {"query": query}).json()["data"]["hardwareLicenses"]["nodes"]
    address = f"{site}/model/{model['hardwareLicenseId']}"
    page = get_page(address)
    assert "Revoked" in page.text
    assert model["license"]["revocationReason"] in page.text
    assert "Revoked" not in get_page(f"{address}?asOf={model['license']['grantedAt']}").text


def test_two_points_of_a_device_are_compared_value_by_value(site: str, did: str) -> None:
    fields = "mintedAt history(last: 1) { totalCount nodes { block { number } logIndex } }"
    row: Any = device(site, did, fields)
    leads = get_page(f"{site}/device/{did}/compare").response.headers["location"]
    assert leads == f"/device/{did}/compare?from={row['mintedAt']}"
    page = get_page(f"{site}{leads}")
    assert "In service" in page.text
    assert "Recycled" in page.text
    last = row["history"]["nodes"][0]
    assert f'id="event-{last["block"]["number"]}-{last["logIndex"]}-' in page.response.text


def test_the_events_between_two_points_are_those_that_lie_between(site: str, did: str) -> None:
    row: Any = device(site, did, "history(first: 100) { nodes { recordTime block { number } logIndex } }")
    events = row["history"]["nodes"]
    begin, end = events[2]["block"]["number"], events[-2]["block"]["number"]
    page = get_page(f"{site}/device/{did}/compare?from={begin}&to={end}")
    between = {
        f"event-{event['block']['number']}-{event['logIndex']}"
        for event in events
        if int(begin) < int(event["block"]["number"]) <= int(end)
    }
    assert set(re.findall(r'id="(event-\d+-\d+)-[0-9a-f]{8}"', page.response.text)) == between
    assert page.links_to(f"/device/{did}?asOf={end}")


def test_points_that_are_equal_or_lie_before_the_mint(site: str, did: str) -> None:
    assert "Nothing changed" in get_page(f"{site}/device/{did}/compare?from=180&to=180").text
    first = get_page(f"{site}/device/{did}/compare?from=0")
    assert "The certificate did not exist before." in first.text


def test_access_that_was_lost_names_the_event_or_the_day_that_ended_it(site: str) -> None:
    query = """{ authorizations(scope: ALL, first: 100) { nodes {
      user grantedAt expiresAt revokedAt revocation { block { number } logIndex } device { tokenDID }
    } } }"""
    grants = post(f"{site}/graphql", {"query": query}).json()["data"]["authorizations"]["nodes"]
    grant = next(grant for grant in grants if grant["revokedAt"] and grant["grantedAt"] != grant["revokedAt"])
    address = f"/device/{grant['device']['tokenDID']}/compare?from={grant['grantedAt']}&to={grant['revokedAt']}"
    page = get_page(f"{site}{address}")
    assert f"/user/{grant['user']}" in page.links
    assert f"/block/{grant['revocation']['block']['number']}" in page.links


def test_addresses_that_are_printed_begin_with_the_base_url(sqlite_url: str) -> None:
    url = with_one_device(sqlite_url)
    with serving(Settings(database_url=url, base_url="https://devices.example")) as site:
        device_path = get_page(f"{site}/devices").link("/device/")
        page = get_page(f"{site}{device_path}/certificate")
    assert f"https://devices.example{device_path}" in page.text


def test_a_page_of_the_past_says_so_and_its_links_stay_there(site: str, did: str) -> None:
    minted = str(device(site, did, "mintedAt")["mintedAt"])
    page = get_page(f"{site}/device/{did}?asOf={minted}")
    assert page.status == 200
    assert "You are looking at the past." in page.text
    assert "In service" in page.text
    assert all("asOf=" in link for link in page.links if link.startswith(("/block/", "/tx/", "/owner/")))
    assert f"/device/{did}" in page.links  # back to now


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nowhere", 404, "There is no page /nowhere"),
        ("/device/SN-1", 400, "is not the DID of a device"),
        ("/owner/0x12", 400, "is not an address"),
        ("/user/nobody", 400, "is not an address"),
        ("/devices?state=BROKEN", 400, "IN_SERVICE"),
        ("/devices?order=size", 400, "newest"),
        ("/devices?owner=nobody", 400, "owner is “nobody”. Give an address: 0x and 40 hexadecimal digits."),
        (f"{DEVICE}/certificate", 404, "There is no device"),
        (f"{DEVICE}/compare", 404, "There is no device"),
        (f"{DEVICE}/compare?from=soon", 400, "from is “soon”"),
        (f"{DEVICE}/compare?from=1&to=later", 400, "to is “later”"),
        (f"{DEVICE}/compare?from=99999999", 400, "blocks 0 to"),
        ("/manufacturers?license=BROKEN", 400, "REVOKED"),
        ("/manufacturers?order=size", 400, "name"),
        ("/manufacturer/Acme", 400, "is not the id of a manufacturer"),
        ("/manufacturer/999", 404, "There is no manufacturer 999"),
        ("/manufacturer/1?asOf=0", 404, "There was no manufacturer 1 at that point"),
        (f"/model/{2**256}", 400, "is not the id of a model"),
        (f"/model/{2**256 - 1}", 404, "There is no model"),
        ("/device/SN-1/compare", 400, "is not the DID of a device"),
        (DEVICE, 404, "There is no device"),
        (f"{DEVICE}?asOf=1", 404, "There was no device"),
        (f"{DEVICE}?asOf=soon", 400, "That is not a point in time"),
        (f"{DEVICE}?asOf=99999999", 400, "blocks 0 to"),
        (f"{DEVICE}?asOf=2999-01-01", 400, "later than the newest indexed block"),
        (f"{DEVICE}?asOf=0x{'77' * 32}", 400, "a block that is not stored"),
        ("/events?kind=MINT", 400, "DEVICE_MINTED"),
        ("/events?flag=BAD", 400, "UNLICENSED"),
        ("/events?block-from=soon", 400, "soon"),
        ("/events?from=yesterday", 400, "from is “yesterday”. Give a date"),
        ("/events?to=2025-13-01", 400, "to is “2025-13-01”. Give a date"),
        ("/devices?manufacturer=Acme", 400, "manufacturer is “Acme”. Give the id of a manufacturer"),
        ("/tx/0x12", 400, "is not the hash of a transaction"),
        (f"/tx/0x{'77' * 32}", 404, "There is no event of this register in the transaction"),
        (f"/tx/0x{'77' * 32}?asOf=5", 404, "At that point"),
        ("/block/soon", 400, "is neither the number of a block nor its hash"),
        (f"/block/0x{'77' * 32}", 404, "There is no event of this register in block"),
        ("/block/99999999999999999999", 404, "There is no event of this register in block"),
        ("/block/1?chain=main", 400, "Give the chain id of a network"),
        (f"/device/did:erc721:31337:0x{'00' * 20}:{2**256}", 400, "is not the DID of a device"),
    ],
)
def test_a_page_that_cannot_be_shown_says_why_and_offers_the_search(
    site: str, path: str, status: int, told: str
) -> None:
    page = get_page(f"{site}{path}")
    assert (page.status, told in page.text) == (status, True), page.text
    assert "Look for something else" in page.text
    assert page.response.headers["cache-control"] == "no-store"


def test_points_in_the_wrong_order_offer_the_right_one(site: str, did: str) -> None:
    page = get_page(f"{site}/device/{did}/compare?from=300&to=180")
    assert page.status == 400
    assert f"/device/{did}/compare?from=180&to=300" in page.links


def test_a_cursor_that_was_cut_off_leads_back_to_the_first_page(site: str, did: str) -> None:
    page = get_page(f"{site}/device/{did}?after=cut-off")
    assert page.status == 400
    assert f"/device/{did}" in page.links


def test_an_address_with_a_slash_too_many_leads_to_the_page(site: str) -> None:
    assert get_page(f"{site}/search/").response.headers["location"] == "/search"
    assert get_page(f"{site}//example.org/").response.headers["location"] == "/example.org"
    assert get_page(f"{site}/search%3Fq=1/").response.headers["location"] == "/search%3Fq%3D1"


def test_a_request_to_an_address_with_a_slash_too_many_goes_on_with_its_body(site: str) -> None:
    body = {"query": "{ _meta { version } }"}
    redirect = CLIENT.post(f"{site}/graphql/", json=body)
    assert (redirect.status_code, redirect.headers["location"]) == (307, "/graphql")
    assert CLIENT.post(f"{site}/graphql/", json=body, follow_redirects=True).json()["data"]["_meta"]["version"]


@pytest.mark.parametrize("path", ["/search%3Fq=1", "/a%23b", "/50%25"])
def test_an_address_with_an_encoded_sign_is_not_found(site: str, path: str) -> None:
    page = get_page(f"{site}{path}")
    assert page.status == 404
    assert f"There is no page {unquote(path)}." in page.text


def test_a_page_has_a_strict_policy_and_loads_only_from_here(site: str, did: str) -> None:
    for path in ("/", "/search", f"/device/{did}", "/verify", "/nowhere"):
        page = get_page(f"{site}{path}")
        policy = page.response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert all(file.startswith("/") for file in page.files)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=|<style", page.response.text)


def test_files_are_kept_for_good_under_the_hash_of_their_content(site: str) -> None:
    for file in get_page(f"{site}/").files:
        response = CLIENT.get(f"{site}{file}")
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    assert CLIENT.get(f"{site}/explorer/explorer.css").status_code == 404


def test_a_page_is_not_sent_again_to_who_has_it(site: str, did: str) -> None:
    first = get_page(f"{site}/device/{did}")
    again = get_page(f"{site}/device/{did}", tag=first.response.headers["etag"])
    assert again.status == 304


def test_a_page_answers_only_who_reads(site: str) -> None:
    for path in ("/search", "/healthz"):
        refused = CLIENT.post(f"{site}{path}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert "POST is not answered here: send GET." in refused.text
    assert CLIENT.head(f"{site}/").status_code == 200


def test_this_page_as_a_query_has_the_answer_of_the_page(site: str, did: str) -> None:
    fragment = parse_qs(get_page(f"{site}/device/{did}").link("/graphql#query=").partition("#")[2])
    body = {"query": fragment["query"][0], "variables": json.loads(fragment["variables"][0])}
    answer = post(f"{site}/graphql", body).json()
    assert answer["data"]["device"]["tokenDID"] == did


def test_an_empty_index_says_so(database_url: str) -> None:
    with serving(Settings(database_url=database_url)) as site:
        page = get_page(f"{site}/")
        assert page.status == 200
        assert "Nothing is indexed yet." in page.text


def test_a_database_that_is_away_is_a_503_that_says_so(tmp_path: Path) -> None:
    with serving(Settings(database_url=f"sqlite:///{tmp_path}/none.db")) as site:
        page = get_page(f"{site}/")
        assert page.status == 503
        assert "retry-after" in page.response.headers
        assert "Not available right now" in page.text


def test_too_many_requests_are_a_429_that_says_when_to_come_back(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url, request_rate="1/minute")) as site:
        assert get_page(f"{site}/").status == 200
        page = get_page(f"{site}/")
        assert page.status == 429
        assert int(page.response.headers["retry-after"]) > 0


async def test_pages_are_counted_as_pages(sqlite_url: str) -> None:
    app = create_app(Settings(database_url=sqlite_url, max_seconds=MAX_SECONDS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://explorer") as client:
        assert (await client.get("/search")).status_code == 200
        assert (await client.get("/wp-login.php")).status_code == 404
    assert app.state.metrics.requests == {("page", "200"): 1, ("other", "404"): 1}


def test_the_site_has_the_name_of_its_settings(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url, explorer_name="<Acme> & Sons")) as site:
        page = get_page(f"{site}/")
        assert "<Acme> & Sons" in page.text
        assert "<Acme>" not in page.response.text


def test_a_service_without_the_explorer_leads_to_graphql(sqlite_url: str) -> None:
    with serving(Settings(database_url=sqlite_url, explorer=False)) as site:
        assert get_page(f"{site}/").response.headers["location"] == "/graphql"
        assert CLIENT.get(f"{site}/search").status_code == 404


def test_without_graphiql_no_page_leads_there(sqlite_url: str) -> None:
    with serving(Settings(database_url=with_one_device(sqlite_url), graphiql=False)) as site:
        links = get_page(f"{site}/").links
    assert not [link for link in links if link.startswith("/graphql")]
