"""Register-wide filters of duplicates: the same devices fail that `Provenance` says fail."""

from typing import Any

from tests.support.api.feeding import Api, Moving, minted

ALL = """{ devices(first: 100) { nodes { tokenId provenance {
  imeiUnique { verdict } serialUniqueForManufacturer { verdict } } } } }"""
FITTING = "query ($filter: DeviceFilter) { devices(first: 100, filterBy: $filter) { totalCount nodes { tokenId } } }"
IMEI = "356938035643809"


async def test_each_verdict_lists_its_devices(moving: Moving, own_api: Api) -> None:
    await moving.mine(
        *minted(1, serialNumber="S", imei=IMEI),
        *minted(2, serialNumber="S", imei="35-693803-564380-9"),
        *minted(3, serialNumber="S", manufacturerId=2),
        *minted(4, serialNumber="s", imei="356938035643817"),
        *minted(5, serialNumber="L" * 200 + "1"),
        *minted(6, serialNumber="L" * 200 + "2"),
    )
    devices = (await own_api.ask(ALL))["devices"]["nodes"]
    for check, failing in (("imeiUnique", {"1", "2"}), ("serialUniqueForManufacturer", {"1", "2"})):
        verdicts: dict[str, set[str]] = {}
        for device in devices:
            verdicts.setdefault(device["provenance"][check]["verdict"], set()).add(device["tokenId"])
        assert verdicts["FAIL"] == failing
        for verdict in ("PASS", "FAIL", "UNKNOWN", "NOT_APPLICABLE"):
            listed = await fitting(own_api, {check: {"eq": verdict}})
            assert listed == verdicts.get(verdict, set()), (check, verdict)
        assert await fitting(own_api, {check: {"in": ["PASS", "FAIL"]}}) == verdicts["PASS"] | failing


async def fitting(own_api: Api, filter: Any) -> set[str]:
    page = (await own_api.ask(FITTING, filter=filter))["devices"]
    assert page["totalCount"] == len(page["nodes"])
    return {device["tokenId"] for device in page["nodes"]}
