"""Hostile values from the tables to the answers: each log is returned raw, and nothing fails."""

from typing import Any

import pytest
from sqlalchemy import Engine

from api.graphql.limits import Limits
from api.graphql.request import GraphQLRequest
from api.graphql.schema import build_schema
from tests.support.api.asking import execute
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.hostile import HOSTILE, Hostile
from tests.support.index.indexing import Indexer

SCHEMA = build_schema(limits=Limits(cost=10**6))
QUERY = """
query Everything($chain: BigInt!) {
  devices(first: 100, filterBy: {chainId: {eq: $chain}}, orderBy: {field: TOKEN_ID, direction: ASC}) {
    totalCount
    nodes {
      id tokenId tokenDID owner address addresses { address } serialNumber imei { value valid tac } devEUI
      hardwareRevision attributes { name value } manufacturer { tokenId name license { status uri expiresAt } }
      manufacturerLicenseAtMint { status } hardwareLicense { hardwareLicenseId model license { status } }
      hardwareLicenseAtMint { status } manufacturedAt mintedAt provisionedAt initialFirmware
      firmware { version semver appliedAt } firmwareUpdates { nodes { toVersion result resultCode } }
      inCircuitTests { nodes { passed testedAt } } qualityInspections { nodes { passed station } }
      authorizedUsers(scope: ALL) { nodes { user organization permissions permissionIds expiresAt active endReason } }
      factoryResets { nodes { reason reasonCode } }
      endOfLife { status occurredAt facility sanitization steps { nodes { process processCode sanitizationCode } } }
      provenance { imeiValid { verdict reason } imeiUnique { verdict } manufacturerLicensedAtMint { verdict reason }
                   noActivityAfterEndOfLife { verdict } sanitizedBeforeDisposal { verdict } }
      history { totalCount nodes { kind flags } }
    }
  }
  read: lifecycleEvents(first: 100, filterBy: {chainId: {eq: $chain}}) { nodes { ...E } }
  unmapped: lifecycleEvents(first: 100, filterBy: {chainId: {eq: $chain}, kind: {eq: UNMAPPED}}) { nodes { ...E } }
  manufacturers(first: 100, filterBy: {chainId: {eq: $chain}}) { nodes { tokenId name license { status } } }
}
fragment E on LifecycleEvent {
  kind eventTime eventTimeSeconds recordTime flags block { number } logIndex raw { topics data }
  ... on UndecodableEvent { reason }
}
"""


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_any_data_of_a_chain_is_answered(engine: Engine, hostile: Hostile) -> None:
    node = FakeNode()
    node.mine(*hostile.logs, after=hostile.after)
    for logs in hostile.also:
        node.mine(*logs)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    data = await ask(engine, node.chain_id)

    events = data["read"]["nodes"] + data["unmapped"]["nodes"]
    served = sorted((int(event["block"]["number"]), event["logIndex"], raw(event)) for event in events)
    rows = indexer.rows("event")
    stored = [(row["position"] >> 20, log_index(row), (row["topics"], row["data"])) for row in rows]
    assert served == stored
    assert all(event["reason"] for event in events if event["kind"] == "UNDECODABLE")

    tokens = sorted(int.from_bytes(row["token_id"], "big") for row in indexer.rows("device"))
    assert [int(device["tokenId"]) for device in data["devices"]["nodes"]] == tokens
    histories = sum(device["history"]["totalCount"] for device in data["devices"]["nodes"])
    assert histories == sum(row["device_id"] is not None for row in rows)


def log_index(row: dict[str, Any]) -> int:
    return int(row["position"] & 0xFFFFF if row["wide_log_index"] is None else row["wide_log_index"])


async def ask(engine: Engine, chain_id: int) -> dict[str, Any]:
    answer = await execute(SCHEMA, GraphQLRequest(QUERY, {"chain": str(chain_id)}), engine)
    assert "errors" not in answer, answer["errors"]
    data: dict[str, Any] = answer["data"]
    return data


def raw(event: dict[str, Any]) -> tuple[bytes, bytes]:
    topics = b"".join(bytes.fromhex(topic[2:]) for topic in event["raw"]["topics"])
    return topics, bytes.fromhex(event["raw"]["data"][2:])
