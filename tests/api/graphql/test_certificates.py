"""Every certificate of the demo fleet, now and a year ago, equals what the acts on the fleet amount to."""
# fixtures are imported, and arguments bear their names

from typing import Any

import pytest

from api.graphql.limits import Limits
from api.graphql.schema import build_schema
from tests.support.api.asking import Api
from tests.support.fleet import Fleet
from tests.support.fleet.names import DAY, imei_is_valid
from tests.support.fleet.records import SANITIZATIONS, Device, License
from tests.support.fleet.world import World
from tests.support.index.fleet import NOW, did, iso

UNLIMITED = build_schema(limits=Limits(cost=10**6))
"""Whole certificates by the page are more than a client may ask for at once."""
PROCESSES = {1: "DECOMMISSIONED", 2: "RECYCLED", 3: "DISPOSED"}
REASONS = dict(enumerate(["UNSPECIFIED", "USER_REQUEST", "OWNERSHIP_CHANGE", "SERVICE", "SECURITY"]))
RESULTS = dict(enumerate(["SUCCEEDED", "FAILED", "ROLLED_BACK"]))
YEAR_AGO = NOW - 365 * DAY

CERTIFICATES = """
query Certificates($after: String, $asOf: AsOf) {
  devices(first: 50, after: $after, asOf: $asOf, orderBy: {field: TOKEN_ID, direction: ASC}) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node {
      tokenId tokenDID owner address addresses { address from { timestamp } until { timestamp } }
      serialNumber imei { value valid tac } devEUI hardwareRevision attributes { name value }
      manufacturer { tokenId name license { ...LicenseFields } } manufacturerLicenseAtMint { status }
      hardwareLicense { model hardwareRevision manufacturer { tokenId } license { ...LicenseFields } }
      hardwareLicenseAtMint { status }
      manufacturedAt mintedAt mint { recordTime tokenOf: device { tokenId } } provisionedAt
      initialFirmware firmware { version imageHash appliedAt }
      inCircuitTests(first: 100) { totalCount nodes { ...Result } }
      mechanicalTests(first: 100) { totalCount nodes { ...Result } }
      qualityInspections(first: 100) { totalCount nodes { ...Result } }
      authorizedUsers(first: 100) { totalCount nodes { ...Grant } }
      ever: authorizedUsers(first: 100, scope: ALL) { nodes { ...Grant revokedAt endReason active } }
      factoryResets(first: 100) { totalCount nodes { initiator resetAt reason reasonCode recordTime } }
      firmwareUpdates(first: 100) {
        totalCount nodes { fromVersion toVersion imageHash result resultCode appliedAt recordTime }
      }
      endOfLife { status occurredAt facility sanitization steps(first: 100) { totalCount nodes {
        process processCode occurredAt facility sanitization sanitizationCode evidenceURI evidenceHash recordTime
      } } }
      transfers(first: 100) { nodes { sender recipient } }
      history(first: 100) { totalCount nodes { kind recordTime eventTime } }
      odd: history(first: 100, filterBy: {flag: {eq: AFTER_END_OF_LIFE}}) { nodes { kind recordTime } }
      lastUpdatedAt
      provenance {
        manufacturerLicensedAtMint { verdict } hardwareLicensedAtMint { verdict } imeiValid { verdict }
        imeiUnique { verdict } serialUniqueForManufacturer { verdict } addressUnique { verdict }
        inCircuitTestPassed { verdict } mechanicalTestPassed { verdict } qualityInspectionPassed { verdict }
        provisionedAfterQuality { verdict } noActivityAfterEndOfLife { verdict } sanitizedBeforeDisposal { verdict }
      }
    } }
  }
}
fragment LicenseFields on License { status uri hash grantedAt expiresAt revokedAt revocationReason }
fragment Result on TestRecorded { testKind passed testedAt station reportURI reportHash recordTime }
fragment Grant on Authorization { user organization permissions permissionIds grantedAt expiresAt }
"""


async def test_every_certificate_says_what_was_done_to_its_device(api: Api, fleet: Fleet) -> None:
    await assert_certificates(api, fleet, fleet.world, NOW, None)


async def test_every_certificate_of_a_year_ago_says_what_had_been_done_by_then(api: Api, fleet: Fleet) -> None:
    past = fleet.world_at(YEAR_AGO)
    assert 20 < len(past.devices) < 200
    await assert_certificates(api, fleet, past, YEAR_AGO, {"timestamp": iso(YEAR_AGO)})


@pytest.mark.parametrize("share", [0.3, 0.8])
async def test_a_block_its_hash_and_its_time_are_one_point(api: Api, fleet: Fleet, share: float) -> None:
    done = fleet.recorded[int(len(fleet.recorded) * share)]
    points: list[dict[str, Any]] = [{"block": str(done.block_number)}, {"timestamp": iso(done.block_time)}]
    query = "query ($asOf: AsOf) { devices(first: 100, asOf: $asOf) { totalCount nodes { id firmware { version } } } }"
    events = "query ($filter: LifecycleEventFilter) { lifecycleEvents(filterBy: $filter) { nodes { block { hash } } } }"
    answer = await api.ask(events, filter={"transactionHash": {"eq": done.transaction_hash}})
    hash = answer["lifecycleEvents"]["nodes"][0]["block"]["hash"]
    answers = [await api.ask(query, asOf=point) for point in [*points, {"blockHash": hash}]]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["devices"]["totalCount"] == len(fleet.world_at(done.block_time).devices)


async def assert_certificates(api: Api, fleet: Fleet, world: World, clock: int, as_of: Any) -> None:
    api.schema = UNLIMITED
    edges = await api.all_pages(CERTIFICATES, "devices", asOf=as_of)
    assert [int(edge["node"]["tokenId"]) for edge in edges] == sorted(world.devices)
    for edge in edges:
        device = world.devices[int(edge["node"]["tokenId"])]
        node = lower_hex(edge["node"])
        expected = lower_hex(certificate(world, fleet, device, clock))
        for section, value in expected.items():
            assert node[section] == value, (device.token, section)
        assert node.keys() == expected.keys()


def certificate(world: World, fleet: Fleet, device: Device, clock: int) -> dict[str, Any]:
    maker, model = world.manufacturers[device.manufacturer], world.models[device.model]
    valid = imei_is_valid(device.imei or "")
    imei = {"value": device.imei, "valid": valid, "tac": plain(device.imei)[:8] if valid else None}
    return {
        "tokenId": str(device.token),
        "tokenDID": did(fleet, device.token),
        "owner": device.owner,
        "address": device.address,
        "addresses": [
            {
                "address": held.address,
                "from": {"timestamp": iso(held.since)},
                "until": None if held.until is None else {"timestamp": iso(held.until)},
            }
            for held in reversed(device.addresses)
        ],
        "serialNumber": device.serial_number,
        "imei": imei if device.imei else None,
        "devEUI": device.dev_eui,
        "hardwareRevision": device.hardware_revision,
        "attributes": [{"name": name, "value": value} for name, value in sorted(device.attributes.items())],
        "manufacturer": {"tokenId": str(maker.number), "name": maker.name, "license": license(maker.license, clock)},
        "manufacturerLicenseAtMint": {"status": device.manufacturer_license_at_mint},
        "hardwareLicense": {
            "model": model.name,
            "hardwareRevision": model.revision,
            "manufacturer": {"tokenId": str(model.manufacturer)},
            "license": license(model.license, clock),
        },
        "hardwareLicenseAtMint": {"status": device.model_license_at_mint},
        "manufacturedAt": iso(device.manufactured_at),
        "mintedAt": iso(device.minted_at),
        "mint": {"recordTime": iso(device.minted_at), "tokenOf": {"tokenId": str(device.token)}},
        "provisionedAt": iso(device.provisioned_at),
        "initialFirmware": device.initial_firmware,
        "firmware": {
            "version": device.firmware,
            "imageHash": hexed(device.firmware_image),
            "appliedAt": iso(device.firmware_updated_at),
        },
        "inCircuitTests": results(device, "IN_CIRCUIT"),
        "mechanicalTests": results(device, "MECHANICAL"),
        "qualityInspections": results(device, "QUALITY"),
        "authorizedUsers": {
            "totalCount": len(device.users(clock)),
            "nodes": [grant(access) for access in device.users(clock)],
        },
        "ever": {
            "nodes": [
                grant(access)
                | {
                    "revokedAt": iso(access.ended_at),
                    "endReason": access.end_reason,
                    "active": access.is_active(clock),
                }
                for access in device.grants
            ]
        },
        "factoryResets": {
            "totalCount": len(device.resets),
            "nodes": [
                {
                    "initiator": reset.initiator,
                    "resetAt": iso(reset.reset_at),
                    "reason": REASONS.get(reset.reason, "UNKNOWN"),
                    "reasonCode": reset.reason,
                    "recordTime": iso(reset.record_time),
                }
                for reset in device.resets
            ],
        },
        "firmwareUpdates": {
            "totalCount": len(device.updates),
            "nodes": [
                {
                    "fromVersion": update.from_version or None,
                    "toVersion": update.to_version,
                    "imageHash": hexed(update.image_hash),
                    "result": RESULTS.get(update.result, "UNKNOWN"),
                    "resultCode": update.result,
                    "appliedAt": iso(update.applied_at),
                    "recordTime": iso(update.record_time),
                }
                for update in device.updates
            ],
        },
        "endOfLife": end_of_life(device),
        "transfers": {
            "nodes": [
                {"sender": sender, "recipient": recipient}
                for sender, recipient in zip(
                    [ZERO, *device.owners], [*device.owners, *([ZERO] if device.burned else [])], strict=False
                )
            ]
        },
        "history": {
            "totalCount": len(device.history),
            "nodes": [
                {
                    "kind": entry.kind,
                    "recordTime": iso(entry.record_time),
                    "eventTime": iso(entry.event_time),
                }
                for entry in device.history
            ],
        },
        "odd": {
            "nodes": [
                {"kind": entry.kind, "recordTime": iso(entry.record_time)}
                for entry in device.history
                if entry.after_end_of_life
            ]
        },
        "lastUpdatedAt": iso(device.last_updated_at),
        "provenance": {name: {"verdict": verdict} for name, verdict in world.provenance(device.token).items()},
    }


ZERO = "0x" + "00" * 20


def license(license: License, clock: int) -> dict[str, Any]:
    return {
        "status": license.status(clock),
        "uri": license.uri,
        "hash": hexed(license.hash),
        "grantedAt": iso(license.granted_at),
        "expiresAt": iso(license.expires_at),
        "revokedAt": iso(license.revoked_at),
        "revocationReason": license.reason,
    }


def results(device: Device, kind: str) -> dict[str, Any]:
    tests = device.tests_of(kind)
    return {
        "totalCount": len(tests),
        "nodes": [
            {
                "testKind": kind,
                "passed": test.passed,
                "testedAt": iso(test.tested_at),
                "station": test.station,
                "reportURI": test.report_uri,
                "reportHash": hexed(test.report_hash),
                "recordTime": iso(test.record_time),
            }
            for test in tests
        ],
    }


def grant(grant: Any) -> dict[str, Any]:
    return {
        "user": grant.user,
        "organization": grant.organization or None,
        "permissions": str(grant.permissions),
        "permissionIds": [bit for bit in range(256) if grant.permissions & 2**bit],
        "grantedAt": iso(grant.granted_at),
        "expiresAt": iso(grant.expires_at),
    }


def end_of_life(device: Device) -> dict[str, Any]:
    return {
        "status": device.end_of_life,
        "occurredAt": iso(device.end_of_life_at),
        "facility": device.facility or None,
        "sanitization": device.sanitization,
        "steps": {
            "totalCount": len(device.steps),
            "nodes": [
                {
                    "process": PROCESSES.get(step.process, "UNKNOWN"),
                    "processCode": step.process,
                    "occurredAt": iso(step.occurred_at),
                    "facility": step.facility or None,
                    "sanitization": SANITIZATIONS.get(step.sanitization, "UNKNOWN"),
                    "sanitizationCode": step.sanitization,
                    "evidenceURI": step.evidence_uri,
                    "evidenceHash": hexed(step.evidence_hash),
                    "recordTime": iso(step.record_time),
                }
                for step in device.steps
            ],
        },
    }


def plain(imei: str | None) -> str:
    return (imei or "").replace(" ", "").replace("-", "")


def hexed(value: bytes | None) -> str | None:
    return None if value is None else f"0x{value.hex()}"


def lower_hex(value: Any) -> Any:
    """Returns the value with its hexadecimal texts in lower case: checksums have a test of their own."""
    if isinstance(value, dict):
        return {key: lower_hex(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lower_hex(item) for item in value]
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value
