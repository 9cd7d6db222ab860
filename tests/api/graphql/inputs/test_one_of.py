"""A look-up takes exactly one key. The message names the argument or the variable, and the key that is wrong."""

from typing import Any

import pytest

from tests.support.api.asking import Api

DEVICE = "query ($by: DeviceBy!) { device(by: $by) { id } }"
DEVICES = "query ($at: AsOf) { devices(asOf: $at) { totalCount } }"
MANUFACTURER = "query Q($by: ManufacturerBy!) { manufacturer(by: $by) { id } }"
NULL = "$by: imei is null; leave it out: null counts as a key."


@pytest.mark.parametrize(
    ("query", "name", "value", "message"),
    [
        (DEVICE, "by", {"tokenId": "1", "imei": None}, NULL),
        (
            DEVICE,
            "by",
            {"tokenId": "1", "imei": None, "devEUI": None},
            "$by: imei and devEUI are null; leave them out: null counts as a key.",
        ),
        (DEVICE, "by", {"imei": None}, "$by: imei is null; give one key with a value."),
        (DEVICE, "by", {"tokenId": "1", "imei": "2"}, "$by: tokenId and imei are given; give exactly one key."),
        (DEVICE, "by", {}, "$by has no key; give exactly one."),
        (MANUFACTURER, "by", {"name": None, "tokenId": "1"}, NULL.replace("imei", "name")),
        (
            "query ($by: HardwareLicenseBy!) { hardwareLicense(by: $by) { id } }",
            "by",
            {"hardwareLicenseId": "1", "id": None},
            NULL.replace("imei", "id"),
        ),
        (
            DEVICES,
            "at",
            {"block": "1", "blockHash": None},
            "$at: blockHash is null; leave it out: null counts as a key.",
        ),
    ],
)
async def test_a_variable_that_has_not_exactly_one_key_is_named(
    api: Api, query: str, name: str, value: Any, message: str
) -> None:
    for _ in range(2):  # the second time, the document is kept
        error = await api.refusal(query, **{name: value})
        assert error["message"] == message
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_the_variable_that_is_wrong_is_named_among_others(api: Api) -> None:
    query = """query ($good: DeviceBy!, $bad: DeviceBy!, $at: AsOf) {
      good: device(by: $good, asOf: $at) { id } bad: device(by: $bad) { id } }"""
    error = await api.refusal(query, good={"tokenId": "1"}, bad={"tokenId": "1", "id": None})
    assert error["message"] == "$bad: id is null; leave it out: null counts as a key."


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{ device(by: {tokenId: "1", imei: null}) { id } }', NULL.replace("$", "")),
        ("{ device(by: {imei: null}) { id } }", "by: imei is null; give one key with a value."),
        (
            "{ device(by: {tokenId: 1, imei: 2}) { id } }".replace("2", '"2"'),
            "by: tokenId and imei are given; give exactly one key.",
        ),
        ("{ device(by: {}) { id } }", "by has no key; give exactly one."),
        (
            "query ($token: BigInt!, $imei: String) { device(by: {tokenId: $token, imei: $imei}) { id } }",
            "by: tokenId and imei are given; give exactly one key.",
        ),
        (
            "query ($token: BigInt) { device(by: {tokenId: $token}) { id } }",
            "by: tokenId is $token, which may be null; declare $token with a non-null type.",
        ),
        ('query ($by: DeviceBy! = {tokenId: "1", imei: null}) { device(by: $by) { id } }', NULL),
        (
            '{ devices(asOf: {block: "1", timestamp: null}) { totalCount } }',
            "asOf: timestamp is null; leave it out: null counts as a key.",
        ),
        (
            'fragment F on Query { device(by: {tokenId: "1", imei: null}) { id } } query { ...F }',
            NULL.replace("$", ""),
        ),
    ],
)
async def test_a_literal_that_has_not_exactly_one_key_is_named(api: Api, query: str, message: str) -> None:
    error = await api.refusal(query)
    assert error["message"] == message
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert error["locations"]
