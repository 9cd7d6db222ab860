"""The bundle's document: its parts, their types, and the manifest over them. `bundle.schema.json` is generated from it.

Numbers that may exceed 2**53 are decimal text; bytes are lower-case hex with 0x; a position in the chain is
"block:log". Every part is evidence, or a claim that the trust statement names.
"""

import json
from collections.abc import Iterable
from inspect import cleandoc
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schema.abi.keccak import keccak256
from schema.bundle.subjects import SUBJECTS, SubjectKind
from schema.bundle.unproven import Cause

FORMAT: Final = "certindex-bundle/1"

# in Python, `$` alone also matches before a line break at the end
Hex = Annotated[str, Meta(pattern=r"^0x([0-9a-f]{2})*$(?!\n)")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{64}$(?!\n)")]
HexAddress = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{40}$(?!\n)")]
Decimal = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]*)$(?!\n)")]
Position = Annotated[str, Meta(pattern=r"^[0-9]{1,13}:[0-9]{1,19}(:[1-9][0-9]{0,4})?$(?!\n)")]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]

Row = dict[str, bool | int | str | None]
"""A row of one of the indexer's tables: values by column."""


class Part(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the document."""


class Manifest(Part, frozen=True, kw_only=True):
    """`hash` is the keccak-256 of the rest of the document in canonical form (RFC 8785)."""

    hash: Hash
    events: Count
    receipts: Count
    blocks: Count


class Subject(Part, frozen=True, kw_only=True):
    """The token of a contract that the document is about."""

    did: str
    contract: HexAddress
    token_id: Decimal


class BlockPoint(Part, frozen=True, kw_only=True):
    """The block after which the state holds, which is a claim. `timestamp` in unix seconds."""

    number: Count
    hash: Hash
    timestamp: Count


class ProfileText(Part, frozen=True, kw_only=True):
    """The profile by which the events are read, in TOML."""

    name: str
    text: str


class Contract(Part, frozen=True, kw_only=True):
    """A watched contract. `whole`: it is watched from its first block, which the indexer claims.

    `created_by` is the position of the log of a factory that named the contract; it is present only if one did.
    """

    role: str
    address: HexAddress
    start_block: Count
    whole: bool
    created_by: Position | UnsetType = UNSET


class Block(Part, frozen=True, kw_only=True):
    """A block with events. `header` is its RLP, whose keccak-256 is `hash`; null if the block is not verified yet.

    `timestamp`, in unix seconds, stands in for a header that is null: a claim.
    """

    number: Count
    hash: Hash
    header: Hex | None
    timestamp: Count | UnsetType = UNSET


class Receipt(Part, frozen=True, kw_only=True):
    """The proof that a receipt is in its block: the nodes of the receipts trie, root first.

    `first_log_index` is the index of its first log in the block, which is a claim.
    """

    block_number: Count
    transaction_index: Count
    first_log_index: Count
    nodes: list[Hex]


class Reading(Part, frozen=True, kw_only=True):
    """The reading of an event by the profile and the fold. `fields` are those of the fact, numbers as decimal text.

    `event_time` in unix seconds, as the event states it; null if it states none, or one beyond 2**63 - 2.
    """

    kind: str
    fields: dict[str, bool | str | None]
    event_time: Count | None
    biz_step: str | None
    disposition: str | None
    flags: list[str]


class Event(Part, frozen=True, kw_only=True):
    """A log as it is on the chain, and its reading. The transaction hash is a claim: receipts do not hold it.

    `item` is present only if it is not 0: which of the events of its log this is. Of the events of a log, the first one
    in the document has the topics and the data; those of the others are empty.
    """

    block_number: Count
    log_index: Count
    item: Count | UnsetType = UNSET
    transaction_index: Count
    transaction_hash: Hash
    address: HexAddress
    topics: list[Hash]
    data: Hex
    reading: Reading

    @property
    def item_index(self) -> int:
        return 0 if self.item is UNSET else self.item

    @property
    def place(self) -> str:
        """The event in messages."""
        item = f"item {self.item_index} of " if self.item_index else ""
        return f"{item}event {self.log_index} of block {self.block_number}"


class UnprovenEvent(Part, frozen=True, kw_only=True):
    """An event that the document does not prove yet. `cause` and `provable_at` are claims.

    `provable_at` is the block whose indexing should make the event's block final; null if it is final, or unknown.
    """

    block_number: Count
    log_index: Count
    cause: Cause
    provable_at: Count | None


class Licensed(Part, frozen=True, kw_only=True):
    """A manufacturer or a hardware license that the subject's state names. `id` is the position of its first event."""

    id: Position
    contract: HexAddress
    token_id: Decimal
    versions: list[Row]


class State(Part, frozen=True, kw_only=True):
    """The result of the events: the rows of the subject by table, of its manufacturers and its hardware licenses."""

    device: dict[str, list[Row]] | UnsetType = UNSET
    vehicle: dict[str, list[Row]] | UnsetType = UNSET
    synthetic_device: dict[str, list[Row]] | UnsetType = UNSET
    manufacturers: list[Licensed]
    hardware_licenses: list[Licensed]


class Contents(Part, frozen=True, kw_only=True):
    """The document without its manifest. It is about one of `device`, `vehicle` and `synthetic_device`.

    `unproven` is present only if an event is not proven yet.
    """

    format: Literal["certindex-bundle/1"]
    trust: str
    chain_id: Count
    device: Subject | UnsetType = UNSET
    vehicle: Subject | UnsetType = UNSET
    synthetic_device: Subject | UnsetType = UNSET
    as_of: BlockPoint
    profile: ProfileText
    contracts: list[Contract]
    blocks: list[Block]
    receipts: list[Receipt]
    events: list[Event]
    state: State
    unproven: list[UnprovenEvent] | UnsetType = UNSET


class Bundle(Contents, frozen=True, kw_only=True):
    """The document."""

    manifest: Manifest


def subject_of(bundle: Contents) -> tuple[SubjectKind, Subject]:
    """Returns what the document is about. Raises ValueError unless that is one subject."""
    subjects = [(kind, getattr(bundle, kind.name)) for kind in SUBJECTS.values()]
    present = [(kind, subject) for kind, subject in subjects if subject is not UNSET]
    if len(present) != 1:
        raise ValueError(f"the document is about {len(present)} subjects, not about one")
    return present[0]


def seal(contents: Contents) -> Bundle:
    """Returns the document with its manifest."""
    parts = {name: getattr(contents, name) for name in Contents.__struct_fields__}
    return Bundle(**parts, manifest=manifest_of(contents))


def manifest_of(contents: Contents) -> Manifest:
    """Returns the manifest of the contents, or of a bundle without its manifest."""
    document: dict[str, Any] = msgspec.to_builtins(contents)
    document.pop("manifest", None)
    digest = keccak256(canonical(document)).hex()
    return Manifest(
        hash=f"0x{digest}",
        events=len(contents.events),
        receipts=len(contents.receipts),
        blocks=len(contents.blocks),
    )


def addresses_by_role(contracts: Iterable[Contract]) -> dict[str, list[bytes]]:
    """Returns the addresses of each role, with which the profile is compiled."""
    addresses: dict[str, list[bytes]] = {}
    for contract in contracts:
        addresses.setdefault(contract.role, []).append(bytes.fromhex(contract.address[2:]))
    return addresses


def first_blocks(contracts: Iterable[Contract]) -> dict[bytes, int]:
    """Returns from which block on the logs of contracts that factories created are read."""
    return {
        bytes.fromhex(contract.address[2:]): contract.start_block
        for contract in contracts
        if contract.created_by is not UNSET
    }


def canonical(document: Any) -> bytes:
    """Returns JSON in the form that is hashed: keys sorted, no spaces, UTF-8 (RFC 8785; no fractions occur)."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def to_json(bundle: Bundle) -> bytes:
    """Returns the JSON of the document as it is written to a file."""
    return msgspec.json.encode(bundle)


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of the document."""
    schema = msgspec.json.schema(Bundle)
    for definition in schema["$defs"].values():
        if "description" in definition:  # a docstring, indented as before Python 3.13
            definition["description"] = cleandoc(definition["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Audit bundle of a device, a vehicle or a synthetic device",
        **schema,
    }
