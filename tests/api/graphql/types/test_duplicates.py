"""Register-wide filters of duplicates: the same devices fail that `Provenance` says fail."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api.feeding import Api, Moving, asking, minted

ALL = """{ devices(first: 100) { nodes { tokenId provenance {
  imeiUnique { verdict } serialUniqueForManufacturer { verdict } } } } }"""
FITTING = "query ($filter: DeviceFilter) { devices(first: 100, filterBy: $filter) { totalCount nodes { tokenId } } }"
IMEI = "356938035643809"


@pytest.fixture
def moving(database_url: str) -> Iterator[Moving]:
    chain = Moving(database_url)
    yield chain
    chain.close()


@pytest.fixture
def api(moving: Moving) -> Iterator[Api]:
    with asking(moving.url) as api_of_moving:
        yield api_of_moving


async def test_each_verdict_lists_its_devices(moving: Moving, api: Api) -> None:
    await moving.mine(
        *minted(1, serialNumber="S", imei=IMEI),
        *minted(2, serialNumber="S", imei="35-693803-564380-9"),
        *minted(3, serialNumber="S", manufacturerId=2),
        *minted(4, serialNumber="s", imei="356938035643817"),
        *minted(5, serialNumber="L" * 200 + "1"),
        *minted(6, serialNumber="L" * 200 + "2"),
    )
    devices = (await api.ask(ALL))["devices"]["nodes"]
    for check, failing in (("imeiUnique", {"1", "2"}), ("serialUniqueForManufacturer", {"1", "2"})):
        verdicts: dict[str, set[str]] = {}
        for device in devices:
            verdicts.setdefault(device["provenance"][check]["verdict"], set()).add(device["tokenId"])
        assert verdicts["FAIL"] == failing
        for verdict in ("PASS", "FAIL", "UNKNOWN", "NOT_APPLICABLE"):
            listed = await fitting(api, {check: {"eq": verdict}})
            assert listed == verdicts.get(verdict, set()), (check, verdict)
        assert await fitting(api, {check: {"in": ["PASS", "FAIL"]}}) == verdicts["PASS"] | failing


async def fitting(api: Api, filter: Any) -> set[str]:
    page = (await api.ask(FITTING, filter=filter))["devices"]
    assert page["totalCount"] == len(page["nodes"])
    return {device["tokenId"] for device in page["nodes"]}
