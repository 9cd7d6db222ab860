"""The names of our own fields in EPCIS events, for facts without a field in the standard."""

from collections.abc import Mapping
from typing import Any

PREFIX = "certindex"

NAMESPACE = "urn:certindex:epcis:"
"""The same on every service, so that an event has the same id on all of them."""

CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {PREFIX: NAMESPACE}]
"""The context of every document."""

BIZ_STEPS = frozenset((
    "accepting", "arriving", "assembling", "collecting", "commissioning", "consigning", "creating_class_instance",
    "cycle_counting", "decommissioning", "departing", "destroying", "disassembling", "dispensing", "encoding",
    "entering_exiting", "holding", "inspecting", "installing", "killing", "loading", "other", "packing", "picking",
    "receiving", "removing", "repackaging", "repairing", "replacing", "reserving", "retail_selling", "sampling",
    "sensor_reporting", "shipping", "staging_outbound", "stock_taking", "stocking", "storing", "transporting",
    "unloading", "unpacking", "void_shipping",
))  # fmt: skip
DISPOSITIONS = frozenset((
    "active", "available", "completeness_inferred", "completeness_verified", "conformant", "container_closed",
    "container_open", "damaged", "destroyed", "dispensed", "disposed", "encoded", "expired", "in_progress",
    "in_transit", "inactive", "mismatch_class", "mismatch_instance", "mismatch_quantity", "needs_replacement",
    "no_pedigree_match", "non_conformant", "non_sellable_other", "partially_dispensed", "recalled", "reserved",
    "retail_sold", "returned", "sellable_accessible", "sellable_not_accessible", "stolen", "unavailable", "unknown",
))  # fmt: skip
"""The words of CBV 2.0, as in the context. Other vocabularies use URIs: no other bare word can be one."""

FACTS: Mapping[str, str] = {
    "kind": "The kind of the event in GraphQL.",
    "chainId": "The EIP-155 chain id.",
    "blockNumber": "The number of the block.",
    "blockHash": "The hash of the block.",
    "transactionHash": "The hash of the transaction.",
    "logIndex": "The index of the log in the block.",
    "item": "The index of the event among those of its log, if it is not the first.",
    "contract": "The contract that emitted the log.",
    "eventTimeSeconds": "The time that the event states, in unix seconds, if it is after the year 9999.",
    "address": "The address of the device itself.",
    "manufacturerId": "The number of the manufacturer.",
    "hardwareLicenseId": "The number of the Hardware Device License.",
    "serialNumber": "The serial number as the manufacturer wrote it.",
    "imei": "The IMEI as the manufacturer wrote it.",
    "manufacturedAt": "The manufacturing date.",
    "firmwareVersion": "The initial firmware version.",
    "attribute": "The name of the attribute that was set.",
    "value": "The new value of the attribute.",
    "newAddress": "The new address of the device.",
    "testKind": "IN_CIRCUIT, MECHANICAL or QUALITY.",
    "station": "The test station, or the inspector.",
    "reportURI": "The URI of the test report.",
    "reportHash": "The hash of the test report.",
    "initiator": "The account that reset the device.",
    "resetReason": "The reason for a factory reset.",
    "resetReasonCode": "The number of that reason.",
    "resetAddress": "The address that the reset gave to the device.",
    "fromVersion": "The firmware version before an update.",
    "toVersion": "The firmware version to be installed.",
    "imageHash": "The hash of the firmware image.",
    "result": "SUCCEEDED, FAILED, ROLLED_BACK or UNKNOWN.",
    "resultCode": "The number of the result.",
    "process": "DECOMMISSIONED, RECYCLED, DISPOSED or UNKNOWN.",
    "processCode": "The number of the step.",
    "facility": "The facility that took the step.",
    "sanitization": "NONE, CLEAR, PURGE, DESTROY or UNKNOWN (NIST SP 800-88).",
    "sanitizationCode": "The number of the sanitization.",
    "evidenceURI": "The URI of the evidence of a step.",
    "evidenceHash": "The hash of the evidence of a step.",
    "claimant": "The account that claimed the device, or whose claim ended.",
    "formerOwner": "The owner before a burn.",
    "beneficiary": "The account that receives the proceeds of the device.",
}
"""What each name means. All values are texts."""


def context_document() -> dict[str, Any]:
    """Returns the JSON-LD context of our names, with what each means."""
    terms = {f"{PREFIX}:{name}": {"@id": f"{NAMESPACE}{name}"} for name in FACTS}
    meanings = [{"@id": f"{NAMESPACE}{name}", "rdfs:comment": meaning} for name, meaning in FACTS.items()]
    prefixes = {PREFIX: NAMESPACE, "rdfs": "http://www.w3.org/2000/01/rdf-schema#"}
    return {"@context": {**prefixes, **terms}, "@graph": meanings}
