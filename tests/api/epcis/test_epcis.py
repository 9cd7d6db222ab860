"""EPCIS 2.0 over HTTP: the events of every kind, their ids by the judge, queries, errors, reorgs and corrections."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from api.epcis.endpoint import RECORDED_DOCUMENT
from api.epcis.parameters import ANY, EVENT_COST
from api.epcis.vocabulary import FACTS, NAMESPACE
from api.settings import Settings
from indexer.store.rollback import Cause
from tests.support.api.asking import asking
from tests.support.api.epcis import Json, all_events, events_of, generated_ids, pages_of, the_problem
from tests.support.api.hostile_register import DID as HOSTILE_DID
from tests.support.api.hostile_register import build_hostile_register
from tests.support.api.server import CLIENT, DEVICE, HASH, MAKER, post, serving
from tests.support.chain.fakechain import FakeNode
from tests.support.databases import KINDS, Kind
from tests.support.dimo.logs import ALICE, BOB, DEVICES, FACTORY, ZERO, burn, claim, event_log, index, maker, mint
from tests.support.dimo.logs import transferred as dimo_transfer
from tests.support.index.history import BEGAN, History, log
from tests.support.index.indexing import engine_of

OWNER, OTHER = "0x" + "a1" * 20, "0x" + "b0" * 20
NOBODY = "0x" + "00" * 20


@pytest.fixture(scope="module", params=KINDS)
def database_url(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> str:
    return fleet_database(request.param)


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url)) as address:
        yield f"{address}/epcis"


@pytest.fixture(scope="module")
def events(address: str) -> list[Json]:
    """All events of the fleet."""
    return all_events(f"{address}/events", perPage=100)


def device_of(event: Json) -> str:
    return str((event.get("epcList") or event["childEPCs"])[0])


def test_every_event_of_a_device_is_published_with_the_id_that_the_generator_computes(address: str) -> None:
    pages = list(pages_of(f"{address}/events", perPage=100))
    published = [event for page in pages for event in events_of(page)]
    assert [event["eventID"] for event in published] == [id for page in pages for id in generated_ids(page)]
    assert len({event["eventID"] for event in published}) == len(published)
    query = """query { lifecycleEvents(filterBy: {action: {in: [ADD, OBSERVE, DELETE]}}, first: 0) { totalCount } }"""
    answer = post(f"{address.removesuffix('/epcis')}/graphql", {"query": query}).json()
    assert len(published) == answer["data"]["lifecycleEvents"]["totalCount"]
    assert {event["certindex:kind"] for event in published} == {
        *("DEVICE_MINTED", "DEVICE_TRANSFERRED", "DEVICE_ATTRIBUTE_SET", "DEVICE_ADDRESS_RESET", "TEST_RECORDED"),
        *("DEVICE_PROVISIONED", "FACTORY_RESET", "FIRMWARE_UPDATED", "END_OF_LIFE_RECORDED"),
    }
    assert all(page.headers["as-of"] == pages[0].headers["as-of"] for page in pages)


def test_a_transfer_names_both_owners_and_a_mint_its_first_data(events: list[Json]) -> None:
    transfers = [event for event in events if event["certindex:kind"] == "DEVICE_TRANSFERRED"]
    first, later = transfers[0], next(event for event in transfers if "sourceList" in event)
    assert "sourceList" not in first  # nobody had it before
    (source,), (destination,) = later["sourceList"], later["destinationList"]
    assert source["type"] == destination["type"] == "owning_party"
    assert source["source"].startswith("did:pkh:eip155:31337:0x")
    minted = next(event for event in events if event["certindex:kind"] == "DEVICE_MINTED")
    assert (minted["action"], minted["bizStep"], minted["disposition"]) == ("ADD", "commissioning", "active")
    assert {"certindex:serialNumber", "certindex:imei", "certindex:firmwareVersion"} <= minted["ilmd"].keys()


def test_every_name_of_ours_is_in_the_context_that_is_served(address: str, events: list[Json]) -> None:
    response = CLIENT.get(f"{address}/context.jsonld")
    assert response.headers["content-type"] == "application/ld+json"
    context = response.json()["@context"]
    names = {name for event in events for name in (*event, *event.get("ilmd", {})) if name.startswith("certindex:")}
    assert names <= context.keys()
    assert context["certindex"] == NAMESPACE
    assert {item["@id"] for item in response.json()["@graph"]} == {f"{NAMESPACE}{name}" for name in FACTS}


JUNE, SEPTEMBER = "2024-06-01T00:00:00Z", "2024-09-01T00:00:00Z"


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [
        ({"eventType": "ObjectEvent"}, lambda event: event["type"] == "ObjectEvent"),
        ({"eventType": "AssociationEvent|TransactionEvent"}, lambda event: event["type"] == "AssociationEvent"),
        ({"eventType": "TransactionEvent"}, lambda event: False),
        ({"EQ_action": "ADD|DELETE"}, lambda event: event["action"] in ("ADD", "DELETE")),
        ({"EQ_action": "OBSERVE", "EQ_bizStep": "inspecting"}, lambda event: event["bizStep"] == "inspecting"),
        (
            {"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-destroying"},
            lambda event: event["bizStep"] == "destroying",
        ),
        ({"EQ_bizStep": "shipping"}, lambda event: False),
        (
            {"EQ_bizStep": "https://example.org/steps/greeting|destroying"},
            lambda event: event["bizStep"] == "destroying",
        ),
        (
            {"EQ_disposition": "active|urn:epcglobal:cbv:disp:inactive"},
            lambda event: event.get("disposition") in ("active", "inactive"),
        ),
        (
            {"GE_eventTime": JUNE, "LT_eventTime": "2024-09-01T01:00:00+01:00"},
            lambda event: JUNE <= event["eventTime"] < SEPTEMBER,
        ),
        (
            {"GE_recordTime": JUNE, "LT_recordTime": SEPTEMBER},
            lambda event: JUNE <= event["recordTime"] < SEPTEMBER,
        ),
    ],
)
def test_a_query_selects_what_its_parameters_say(
    address: str, events: list[Json], parameters: dict[str, str], fits: Callable[[Json], bool]
) -> None:
    selected = all_events(f"{address}/events", perPage=100, **parameters)
    assert selected == [event for event in events if fits(event)]


def test_the_events_of_a_device_are_its_own(address: str, events: list[Json]) -> None:
    did = device_of(events[0])
    own = [event for event in events if device_of(event) == did]
    assert all_events(f"{address}/epcs/{did}/events") == own
    assert all_events(f"{address}/events", MATCH_epc=did) == own
    other = next(device_of(event) for event in events if device_of(event) != did)
    assert len(all_events(f"{address}/events", MATCH_epc=f"{did}|{other}", perPage=7)) > len(own)
    assert all_events(f"{address}/epcs/{did}/events", EQ_action="DELETE", eventType="AssociationEvent") == []


def test_an_event_is_read_by_its_id(address: str, events: list[Json]) -> None:
    for event in (events[-1], events[-150]):
        response = CLIENT.get(f"{address}/events/{quote(event['eventID'], safe='')}")
        assert events_of(response) == [event]
    oldest = events[0]
    narrowed = f"{address}/events/{quote(oldest['eventID'], safe='')}?MATCH_epc={device_of(oldest)}"
    assert events_of(CLIENT.get(narrowed)) == [oldest]
    missing = CLIENT.get(f"{address}/events/{quote(oldest['eventID'], safe='')}")
    assert missing.status_code == 404, "the fleet has more events than are searched"
    assert "MATCH_epc" in the_problem(missing)["detail"]


def test_a_page_takes_as_many_statements_as_a_larger_one(database_url: str) -> None:
    def statements(size: int) -> int:
        variables = {"filterBy": ANY, "removed": ANY, "direction": "DESC", "first": size}
        with asking(database_url) as api:
            for _ in range(2):  # the second request is compiled
                before = len(api.statements)
                asyncio.run(api.ask(RECORDED_DOCUMENT, **variables))
            return len(api.statements) - before

    assert statements(20) == statements(100)


def test_a_page_is_no_larger_than_a_request_may_cost(database_url: str, events: list[Json]) -> None:
    with serving(Settings(database_url=database_url, max_cost=3 * EVENT_COST)) as address:
        pages = pages_of(f"{address}/epcis/events", perPage=50)
        assert [len(events_of(next(pages))) for _ in range(3)] == [3, 3, 3]
    with serving(Settings(database_url=database_url, max_cost=1)) as address:
        assert the_problem(CLIENT.get(f"{address}/epcis/events"))["type"] == "epcisException:QueryTooLargeException"


# The protocol


def test_versions_and_pages_are_in_the_headers(address: str) -> None:
    response = CLIENT.get(f"{address}/events", params={"perPage": "2", "EQ_action": "OBSERVE"})
    assert (response.headers["gs1-epcis-version"], response.headers["gs1-cbv-version"]) == ("2.0.0", "2.0.0")
    assert response.headers["content-type"] == "application/ld+json"
    link = response.links["next"]["url"]
    assert link.startswith(f"{address}/events?perPage=2&EQ_action=OBSERVE&nextPageToken=")
    assert re.fullmatch(r"chain=31337; block=\d+; hash=0x[0-9a-f]{64}", response.headers["as-of"])
    again = CLIENT.get(
        f"{address}/events?perPage=2&EQ_action=OBSERVE", headers={"If-None-Match": response.headers["etag"]}
    )
    assert again.status_code == 304
    options = CLIENT.options(f"{address}/events")
    assert (options.status_code, options.headers["gs1-epcis-max"]) == (204, "2.0.0")
    head = CLIENT.head(f"{address}/events")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Accept", "application/xml", 406),
        ("Accept", "text/html, */*;q=0.1", 200),
        ("Accept", "application/ld+json", 200),
        ("GS1-EPCIS-Min", "2.0", 200),
        ("GS1-EPCIS-Min", "2.1.0", 406),
        ("GS1-EPCIS-Max", "1.2.0", 406),
        ("GS1-CBV-Max", "3", 200),
        ("GS1-CBV-Min", "x", 406),
    ],
)
def test_a_client_that_reads_something_else_is_refused(address: str, header: str, value: str, status: int) -> None:
    response = CLIENT.get(f"{address}/events?perPage=1", headers={header: value})
    assert response.status_code == status
    if status == 406:
        assert the_problem(response)["type"] == "epcisException:NotAcceptableException"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("events?perpage=3", 400, 'no parameter "perpage"'),
        ("events?EQ_readPoint=urn:x:y", 400, 'no parameter "EQ_readPoint"'),
        ("events?perPage=0", 400, "whole number from 1"),
        ("events?perPage=-1", 400, "whole number from 1"),
        ("events?perPage=1e3", 400, "whole number from 1"),
        ("events?perPage=1&perPage=2", 400, "given twice"),
        ("events?nextPageToken=x", 400, "nextPageToken"),
        ("events?nextPageToken=ex", 400, "cursor"),
        ("events?nextPageToken=rx", 400, "cursor"),
        ("events?GE_eventTime=yesterday", 400, "GE_eventTime"),
        ("events?GE_eventTime=2025-01-01T00:00:00", 400, "offset"),
        ("events?LT_recordTime=0001-01-01T00:00:00%2B14:00", 400, "LT_recordTime"),
        ("events?EQ_action=add", 400, "ADD, OBSERVE, DELETE"),
        ("events?eventType=Event", 400, "ObjectEvent"),
        ("events?EQ_bizStep=inspecting|comissioning", 400, '"comissioning", which is no word of CBV 2.0'),
        ("events?EQ_bizStep=urn:epcglobal:cbv:bizstep:greeting", 400, "commissioning, inspecting"),
        ("events?EQ_disposition=Active", 400, "active, inactive"),
        ("events?MATCH_epc=urn:epc:id:sgtin:0614141.107346.2017", 400, "did:erc721"),
        ("events?MATCH_epc=" + "|".join(["x"] * 101), 400, "at most 100"),
        ("events/1", 404, "no id of an event"),
        ("events/ni:///sha-256;" + "0" * 64 + "%3Fver=CBV2.0?EQ_action=DELETE&EQ_bizStep=destroying", 404, "No event"),
        ("epcs/SN-1/events", 400, "did:erc721"),
        (f"epcs/did:erc721:31337:0x{'00' * 20}:1/events", 404, "no device"),
        (f"epcs/did:erc721:1:0x{'00' * 20}:1/events", 404, "no device"),
        ("capture", 404, "no resource"),
    ],
)
def test_bad_input_has_a_problem_that_names_it(address: str, path: str, status: int, words: str) -> None:
    response = CLIENT.get(f"{address}/{path}")
    assert response.status_code == status, response.text
    assert words in the_problem(response)["detail"]


def test_the_address_of_all_resources_names_them(address: str) -> None:
    response = CLIENT.get(address)
    assert response.status_code == 404
    detail = the_problem(response)["detail"]
    assert detail.startswith("This is the address above all resources. Resources: events, ")


def test_nothing_is_captured_here(address: str) -> None:
    refused = CLIENT.post(f"{address}/events", json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    the_problem(refused)


def test_rates_and_an_index_that_is_not_ready_have_problems(sqlite_url: str) -> None:
    history = begun(sqlite_url)
    history.close()
    with serving(Settings(database_url=sqlite_url, request_rate="2/hour")) as address:
        assert len(events_of(CLIENT.get(f"{address}/epcis/events"))) == 2
        CLIENT.get(f"{address}/epcis/events")
        limited = CLIENT.get(f"{address}/epcis/events")
        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) > 0
        the_problem(limited)
    with serving(Settings(database_url=sqlite_url, epcis=False, explorer=False)) as address:
        assert CLIENT.get(f"{address}/epcis/events").status_code == 404
    with serving(Settings(database_url=f"{sqlite_url}.missing")) as address:
        missing = CLIENT.get(f"{address}/epcis/events")
        assert missing.status_code == 503
        assert missing.headers["retry-after"]
        the_problem(missing)


# Reorgs and corrections


def begun(url: str) -> History:
    history = History(url)
    history.block(
        log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0),
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0),
        log("Transfer", NOBODY, OWNER, 1),
        log("CertificateMinted", 1, DEVICE, 1, 10, "SN-1", "", BEGAN, "1.0.0"),
    )
    return history


def test_what_a_reorg_removed_is_published_again_as_an_error(sqlite_url: str) -> None:
    history = begun(sqlite_url)
    removed_mint = "0x" + "dd" * 20
    history.block(
        log("Transfer", NOBODY, OWNER, 2),
        log("CertificateMinted", 2, removed_mint, 1, 10, "SN-2", "", BEGAN, "1.0.0"),
        log("Transfer", OWNER, OTHER, 1),
        log("UserAuthorized", 1, OTHER, "Fleet", 1, 0),
    )
    with serving(Settings(database_url=sqlite_url)) as address:
        before = all_events(f"{address}/epcis/events")
        first = CLIENT.get(f"{address}/epcis/events?perPage=3")
        (kept,) = history.store.kept_blocks(1, 1)
        history.store.roll_back(history.store.checkpoint(), kept, Cause.FORK)
        pages = list(pages_of(f"{address}/epcis/events", perPage=2))
        after = [event for page in pages for event in events_of(page)]
        assert [id for page in pages for id in generated_ids(page)] == [event["eventID"] for event in after]
        assert after[:2] == before[:2]
        declared = {event["eventID"]: event for event in after[2:]}
        assert declared.keys() == {event["eventID"] for event in before[2:]}
        for event in before[2:]:
            error = declared[event["eventID"]]
            assert error["errorDeclaration"]["reason"] == "did_not_occur"
            assert error["recordTime"] == error["errorDeclaration"]["declarationTime"] > event["recordTime"]
            assert {**error, "recordTime": None} == {**event, "recordTime": None} | {
                "errorDeclaration": error["errorDeclaration"]
            }
        since = declared[before[2]["eventID"]]["recordTime"]
        assert all_events(f"{address}/epcis/events", GE_recordTime=since) == after[2:]
        assert all_events(f"{address}/epcis/events", LT_recordTime=since) == after[:2]
        did = device_of(before[2])
        assert len(all_events(f"{address}/epcis/epcs/{did}/events")) == 2  # also after the device is gone
        named = CLIENT.get(f"{address}/epcis/events/{quote(before[2]['eventID'], safe='')}")
        assert events_of(named) == [declared[before[2]["eventID"]]]
        gone = CLIENT.get(first.links["next"]["url"])
        assert gone.status_code == 410
        assert "Begin again" in the_problem(gone)["detail"]
    history.close()


def test_a_value_that_was_corrected_declares_the_error_and_names_the_correction(sqlite_url: str) -> None:
    history = begun(sqlite_url)
    for attribute, value in (
        *(("serialNumber", "SN-1"), ("color", "red"), ("serialNumber", "SN-9"), ("color", "blue")),
        *(("imei", "490154203237518"), ("serialNumber", "SN-10"), ("manufacturedAt", str(BEGAN + 1))),
    ):
        history.block(log("CertificateCorrected", 1, attribute, value))
    history.close()
    with serving(Settings(database_url=sqlite_url)) as address:
        pages = list(pages_of(f"{address}/epcis/events"))
        _, minted, same, red, nine, blue, imei, ten, made = [event for page in pages for event in events_of(page)]
    errors = {
        event["eventID"]: event["errorDeclaration"]
        for event in (minted, same, red, nine, blue, imei, ten, made)
        if "errorDeclaration" in event
    }
    assert {id: error["correctiveEventIDs"] for id, error in errors.items()} == {
        minted["eventID"]: [nine["eventID"], made["eventID"]],
        same["eventID"]: [nine["eventID"]],
        nine["eventID"]: [ten["eventID"]],
    }
    assert {error["reason"] for error in errors.values()} == {"incorrect_data"}
    assert errors[minted["eventID"]]["declarationTime"] == nine["recordTime"]


# Devices that are paired, and texts of all kinds


def test_a_pairing_is_an_association_with_its_vehicle(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'dimo.db'}"
    node = FakeNode(chain_id=137)
    node.mine(*maker(1), dimo_transfer(5, ZERO, BOB, "vehicle"), event_log("registry", "VehicleNodeMinted", 1, 5, BOB))
    node.mine(*mint(1), claim(1, ALICE))
    node.mine(
        event_log("registry", "AftermarketDevicePaired", 1, 5, BOB),
        event_log("registry", "AftermarketDevicePaired", 1, 0, BOB),
        event_log("registry", "BeneficiarySet", DEVICES, 1, BOB),
    )
    node.mine(
        event_log("registry", "AftermarketDeviceUnpaired", 1, 5, BOB),
        event_log("registry", "AftermarketDeviceUnclaimed", 1),
    )
    node.mine(*burn(1, FACTORY))
    with engine_of(url) as engine:
        asyncio.run(index(engine, node))
    with serving(Settings(database_url=url)) as address:
        (page,) = pages_of(f"{address}/epcis/events", perPage=100)
        published = events_of(page)
        assert generated_ids(page) == [event["eventID"] for event in published]
        associations = [event for event in published if event["type"] == "AssociationEvent"]
        assert [(event["action"], event["bizStep"]) for event in associations] == [
            ("ADD", "installing"),
            ("DELETE", "removing"),
        ]
        for event in associations:
            assert event["parentID"].startswith("did:erc721:137:0x")
            assert event["parentID"].endswith(":5")
            assert event["childEPCs"] == [device_of(published[0])]
        cases: list[tuple[dict[str, str], Callable[[Json], bool]]] = [
            ({"eventType": "AssociationEvent"}, lambda event: event["type"] == "AssociationEvent"),
            ({"eventType": "ObjectEvent"}, lambda event: event["type"] == "ObjectEvent"),
            ({"EQ_action": "ADD"}, lambda event: event["action"] == "ADD"),
            ({"EQ_action": "DELETE"}, lambda event: event["action"] == "DELETE"),
            ({"EQ_action": "OBSERVE"}, lambda event: event["action"] == "OBSERVE"),
        ]
        for parameters, fits in cases:
            selected = all_events(f"{address}/epcis/events", **parameters)
            assert selected == [event for event in published if fits(event)]
            assert selected
    assert {event["certindex:kind"] for event in published} >= {
        *("DEVICE_CLAIMED", "DEVICE_UNCLAIMED", "DEVICE_PAIRED", "DEVICE_UNPAIRED", "DEVICE_BURNED"),
        "BENEFICIARY_SET",
    }


def test_no_text_breaks_a_document_or_an_id(sqlite_url: str) -> None:
    build_hostile_register(sqlite_url)
    with serving(Settings(database_url=sqlite_url)) as address:
        published = all_events(f"{address}/epcis/events", perPage=5)
        own = all_events(f"{address}/epcis/epcs/{HOSTILE_DID}/events")
    assert published == own
    assert len({event["eventID"] for event in published}) == len(published) > 40
    texts = [value for event in published for value in event.values() if isinstance(value, str)]
    assert max(map(len, texts)) > 9_000
    assert not any("\x00" in text for text in texts)


@pytest.mark.parametrize(
    "serial",
    ["1e999", "nan", "-inf", "007", "1_0", "\uff11\uff12", "   ", "urn:epcglobal:cbv:disp:x", "=1", "{a:b}"],
)
def test_a_text_that_looks_like_a_number_has_an_id(sqlite_url: str, serial: str) -> None:
    history = History(sqlite_url)
    history.block(log("CertificateMinted", 1, DEVICE, 1, 10, serial, serial, BEGAN, serial))
    history.close()
    with serving(Settings(database_url=sqlite_url)) as address:
        page = CLIENT.get(f"{address}/epcis/events")
        (event,) = events_of(page)
    assert event["ilmd"]["certindex:serialNumber"] == serial
    if serial not in ("1e999", "-inf"):  # the generator fails for infinite numbers
        assert generated_ids(page) == [event["eventID"]]
