"""The check of a bundle, from its bytes to its state. It ends with the first contradiction."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Struct

from indexer.check.refold import PlacedFact, Refolded, refold
from indexer.proof.header import ProvenHeader, decode_header
from indexer.proof.receipt import Log, UnknownReceipt, decode_receipt
from indexer.proof.trie import ProofError, prove, trie_key
from schema.abi.rlp import RlpError
from schema.bundle.document import (
    Block,
    Bundle,
    Event,
    Licensed,
    Receipt,
    Row,
    State,
    UnprovenEvent,
    canonical,
    manifest_of,
    subject_of,
)
from schema.bundle.subjects import SUBJECTS, SubjectKind
from schema.bundle.trust import trust_of
from schema.bundle.unproven import Cause, explain
from schema.profile.model import SHIPPED
from schema.profile.reader import DecodedEvent, Mapped, event_of, events_of

Headers = Mapping[int, ProvenHeader]
Logs = Mapping[tuple[int, int], Sequence[Log]]
"""The logs of proven receipts, by block and transaction index."""


class Failed(Exception):
    """The bundle does not prove what it states. The message names the first difference."""


class Checked(Struct, frozen=True):
    """A bundle without a contradiction. It passes if no event is `unproven`, which has a log once.

    `unproven_events` counts the events of these logs.

    `untrusted` are the blocks without a trusted hash, `unused` trusted hashes without a block. `contracts` hold role
    and address. `profile` names the shipped profile with the bundle's text, None if none has it.
    """

    noun: str
    did: str
    events: int
    blocks: int
    as_of: int
    trusted: Sequence[int]
    untrusted: Sequence[int]
    unused: Sequence[int]
    profile: str | None
    contracts: Sequence[str]
    unproven: Sequence[UnprovenEvent]
    unproven_events: int

    @property
    def is_complete(self) -> bool:
        return not self.unproven


def check(data: bytes, trusted: Mapping[int, bytes]) -> Checked:
    """Reads and checks a bundle. Raises Failed."""
    return check_bundle(read_bundle(data), trusted)


def check_bundle(bundle: Bundle, trusted: Mapping[int, bytes]) -> Checked:
    """Checks a bundle. `trusted` holds block hashes by number, from a source that the reader trusts. Raises Failed."""
    _check_manifest(bundle)
    headers = _check_blocks(bundle, trusted)
    logs = _check_receipts(bundle, headers)
    unproven = _check_unproven(bundle, headers)
    _check_events(bundle, logs, unproven)
    refolded = _refold(bundle, headers)
    _check_nothing_left_out(bundle, headers, logs, refolded)
    _check_readings(bundle, refolded)
    _check_state(bundle, refolded)
    return _summary(bundle, trusted, unproven)


def read_bundle(data: bytes) -> Bundle:
    """Returns the bundle, not checked yet. Raises Failed."""
    try:
        return msgspec.json.decode(data, type=Bundle)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(f"the file is no bundle of a known format: {error}") from None


def _check_manifest(bundle: Bundle) -> None:
    manifest = manifest_of(bundle)
    if manifest.hash != bundle.manifest.hash:
        raise Failed(
            f"the manifest: the document has the hash {manifest.hash}, the manifest says {bundle.manifest.hash}: "
            "something in the document was changed after it was made"
        )
    for name in ("events", "receipts", "blocks"):
        stated, counted = getattr(bundle.manifest, name), getattr(manifest, name)
        if stated != counted:
            raise Failed(f"the manifest: the document holds {counted} {name}, the manifest says {stated}")
    try:
        kind, _ = subject_of(bundle)
    except ValueError as error:
        raise Failed(str(error)) from None
    if bundle.trust != trust_of(kind.noun):
        raise Failed("the trust statement is not the one of this format")


# Blocks and receipts: is each log in the block?


def _check_blocks(bundle: Bundle, trusted: Mapping[int, bytes]) -> Headers:
    """Returns the headers of the verified blocks, after recomputing their hashes."""
    headers: dict[int, ProvenHeader] = {}
    last = -1
    for block in bundle.blocks:
        where = f"block {block.number}"
        header = _header(block, where)
        if header is not None:
            if _hex(header.hash) != block.hash:
                raise Failed(f"{where}: its header has the hash {_hex(header.hash)}, not {block.hash}")
            if header.number != block.number:
                raise Failed(f"{where}: its header is of block {header.number}")
            headers[block.number] = header
        if block.number <= last:
            raise Failed(f"{where}: blocks come twice, or out of order")
        last = block.number
        if block.number in trusted and _hex(trusted[block.number]) != block.hash:
            raise Failed(
                f"{where}: its hash is {block.hash}, the trusted one is {_hex(trusted[block.number])}: "
                "it is not a block of that chain"
            )
    if bundle.as_of.number < last:
        raise Failed(f"asOf is block {bundle.as_of.number}, though events come up to block {last}")
    return headers


def _header(block: Block, where: str) -> ProvenHeader | None:
    if (block.header is None) == (block.timestamp is UNSET):
        raise Failed(
            f"{where}: it was not verified yet when the bundle was made, and the bundle does not state its time. "
            "Request the bundle again, or make it with certindex prove"
            if block.header is None
            else f"{where}: the bundle states a time beside the header"
        )
    try:
        return None if block.header is None else decode_header(bytes.fromhex(block.header[2:]))
    except RlpError as error:
        raise Failed(f"{where}: the header cannot be read: {error}") from None


def _check_receipts(bundle: Bundle, headers: Headers) -> Logs:
    """Returns the logs of all receipts, after proving that the receipts are in their blocks."""
    logs: dict[tuple[int, int], Sequence[Log]] = {}
    next_log: dict[int, int] = {}
    for receipt in bundle.receipts:
        where = f"receipt {receipt.transaction_index} of block {receipt.block_number}"
        place = (receipt.block_number, receipt.transaction_index)
        if receipt.block_number not in headers:
            raise Failed(f"{where}: the header of its block is not in the bundle")
        if logs and place <= max(logs):
            raise Failed(f"{where}: receipts come twice, or out of order")
        if receipt.first_log_index < next_log.get(receipt.block_number, 0):
            raise Failed(f"{where}: its logs overlap those of the receipt before it")
        logs[place] = _proven_logs(receipt, headers[receipt.block_number], where)
        next_log[receipt.block_number] = receipt.first_log_index + len(logs[place])
    return logs


def _proven_logs(receipt: Receipt, header: ProvenHeader, where: str) -> Sequence[Log]:
    nodes = [bytes.fromhex(node[2:]) for node in receipt.nodes]
    try:
        return decode_receipt(prove(header.receipts_root, trie_key(receipt.transaction_index), nodes)).logs
    except ProofError as error:
        raise Failed(f"{where}: {error}") from None
    except (RlpError, UnknownReceipt) as error:
        raise Failed(f"{where}: the proof cannot be read: {error}") from None


def _check_unproven(bundle: Bundle, headers: Headers) -> Sequence[UnprovenEvent]:
    """Returns the events that the bundle names as not proven, after checking that it proves none of them."""
    unproven = () if bundle.unproven is UNSET else bundle.unproven
    proven = {(receipt.block_number, receipt.transaction_index) for receipt in bundle.receipts}
    transactions = {(event.block_number, event.log_index): event.transaction_index for event in bundle.events}
    before = (-1, -1)
    for named in unproven:
        where = f"unproven event {named.log_index} of block {named.block_number}"
        place = (named.block_number, named.log_index)
        if place <= before:
            raise Failed(f"{where}: unproven events come twice, or out of order")
        before = place
        if place not in transactions:
            raise Failed(f"{where}: the bundle holds no such event")
        if (named.block_number, transactions[place]) in proven:
            raise Failed(f"{where}: the bundle proves it")
        if (named.cause is Cause.NOT_STORED) != (named.block_number in headers):
            state = "has" if named.block_number in headers else "lacks"
            raise Failed(f"{where}: the bundle {state} the header of its block, which does not fit {named.cause}")
        if named.cause is Cause.WRONGLY_STORED:
            raise Failed(f"{where}: {explain(named.cause, named.block_number, None)}, as the indexer found")
    return unproven


def _check_events(bundle: Bundle, logs: Logs, unproven: Sequence[UnprovenEvent]) -> None:
    """Checks that each event equals a log of a proven receipt, unless the bundle names it as not proven."""
    first = {(receipt.block_number, receipt.transaction_index): receipt.first_log_index for receipt in bundle.receipts}
    watched = {contract.address for contract in bundle.contracts}
    if len(watched) < len(bundle.contracts):
        raise Failed("the contracts: one address comes twice")
    numbers = {block.number for block in bundle.blocks}
    not_proven = {(event.block_number, event.log_index) for event in unproven}
    before: Event | None = None
    for event in bundle.events:
        where = event.place
        if before is not None and _order(event) <= _order(before):
            raise Failed(f"{where}: events come twice, or out of order")
        log_before, before = before, event
        if log_before is not None and _log(event) == _log(log_before):
            _check_same_log(event, log_before)
            continue
        if event.block_number not in numbers:
            raise Failed(f"{where}: its block is not in the bundle")
        if event.address not in watched:
            raise Failed(f"{where}: its contract {event.address} is not watched")
        if _log(event) in not_proven:
            continue
        place = (event.block_number, event.transaction_index)
        if place not in logs:
            raise Failed(f"{where}: the bundle holds no proof of its receipt, {event.transaction_index} of the block")
        index = event.log_index - first[place]
        if not 0 <= index < len(logs[place]):
            raise Failed(f"{where}: its receipt holds the logs {first[place]} to {first[place] + len(logs[place]) - 1}")
        _check_log(event, logs[place][index], where)
    _check_all_are_used(bundle)


def _log(event: Event) -> tuple[int, int]:
    return event.block_number, event.log_index


def _order(event: Event) -> tuple[int, int, int]:
    return *_log(event), event.item_index


def _check_same_log(event: Event, before: Event) -> None:
    """Checks that an event states what the event of the same log before it states, and leaves out the log's bytes."""
    for name in ("address", "transaction_index", "transaction_hash"):
        if getattr(event, name) != getattr(before, name):
            raise Failed(f"{event.place}: its {name} is another one than that of the event of its log before it")
    if event.topics or event.data != "0x":
        raise Failed(f"{event.place}: the event of its log before it has the topics and the data")


def _check_log(event: Event, log: Log, where: str) -> None:
    stated = {
        "address": event.address,
        "topics": "0x" + "".join(topic[2:] for topic in event.topics),
        "data": event.data,
    }
    proven = {"address": _hex(log.address), "topics": _hex(log.topics), "data": _hex(log.data)}
    for name, value in stated.items():
        if value != proven[name]:
            raise Failed(f"{where}: its {name} is {_short(value)}, the log in the receipt has {_short(proven[name])}")


def _check_all_are_used(bundle: Bundle) -> None:
    """Checks that each block and receipt belongs to an event."""
    places = {(event.block_number, event.transaction_index) for event in bundle.events}
    numbers = {event.block_number for event in bundle.events}
    for receipt in bundle.receipts:
        if (receipt.block_number, receipt.transaction_index) not in places:
            raise Failed(f"receipt {receipt.transaction_index} of block {receipt.block_number}: it belongs to no event")
    for block in bundle.blocks:
        if block.number not in numbers:
            raise Failed(f"block {block.number}: it holds no event")


# Readings and state: do they follow from the logs?


def _refold(bundle: Bundle, headers: Headers) -> Refolded:
    times = {block.number: block.timestamp for block in bundle.blocks if block.timestamp is not UNSET}
    times |= {number: header.timestamp for number, header in headers.items()}
    try:
        return refold(bundle, times)
    except ValueError as error:
        raise Failed(str(error)) from None


def _check_nothing_left_out(bundle: Bundle, headers: Headers, logs: Logs, refolded: Refolded) -> None:
    """Checks that the bundle leaves out no log of a proven receipt that is about the subject, or part of a fact."""
    first = {(receipt.block_number, receipt.transaction_index): receipt.first_log_index for receipt in bundle.receipts}
    included: dict[tuple[int, int], dict[int, DecodedEvent]] = defaultdict(dict)
    for event, fact in zip(bundle.events, refolded.facts, strict=True):
        included[event.block_number, event.log_index][event.item_index] = fact
    left_out: list[PlacedFact] = []
    for (number, transaction), receipt_logs in logs.items():
        readings = refolded.reader.read_transaction(receipt_logs, number)
        for index, log_reading in enumerate(readings, first[number, transaction]):
            facts = included.get((number, index), {})
            for item in sorted({*range(len(events_of(log_reading))), *facts}):
                reading = event_of(log_reading, item)
                if item in facts:
                    _check_same(reading, facts[item], f"{_of_item(item)}event {index} of block {number}")
                elif isinstance(reading, Mapped):
                    time = headers[number].timestamp
                    left_out.append(PlacedFact(number, index, item, transaction, time, reading))
    missing = refolded.first_about_the_subject(left_out)
    if missing is not None:
        raise Failed(
            f"{_of_item(missing.item_index)}log {missing.log_index} of block {missing.block_number} is about the "
            f"{refolded.kind.noun}, and the bundle leaves it out"
        )


def _check_same(reading: DecodedEvent, included: DecodedEvent, where: str) -> None:
    if included != reading:
        raise Failed(f"{where}: the logs of its receipt make it another fact, and the bundle leaves out one of them")


def _of_item(item: int) -> str:
    return f"item {item} of " if item else ""


def _check_readings(bundle: Bundle, refolded: Refolded) -> None:
    for event, reading in zip(bundle.events, refolded.readings, strict=True):
        for name in reading.__struct_fields__:
            stated, read = getattr(event.reading, name), getattr(reading, name)
            if stated != read:
                raise Failed(f"{event.place}: its reading says {name} {_show(stated)}, its bytes say {_show(read)}")


def _check_state(bundle: Bundle, refolded: Refolded) -> None:
    state = refolded.state
    stated_rows, rows = _rows_of(bundle.state, refolded.kind), _rows_of(state, refolded.kind)
    for table in sorted(stated_rows.keys() | rows.keys()):
        _check_rows(f"state, {table}", stated_rows.get(table), rows.get(table))
    for kind in ("manufacturers", "hardware_licenses"):
        stated: Sequence[Licensed] = getattr(bundle.state, kind)
        folded: Sequence[Licensed] = getattr(state, kind)
        ids, folded_ids = ([each.id for each in licensed] for licensed in (stated, folded))
        if ids != folded_ids:
            raise Failed(f"state: the {kind} are {_show(ids)}, the events name {_show(folded_ids)}")
        for ours, theirs in zip(folded, stated, strict=True):
            where = f"state, {kind}, {ours.id}"
            token, folded_token = (f"{each.contract} {each.token_id}" for each in (theirs, ours))
            if token != folded_token:
                raise Failed(f"{where}: it is {token}, the events say {folded_token}")
            _check_rows(where, theirs.versions, ours.versions)


def _rows_of(state: State, kind: SubjectKind) -> Mapping[str, Sequence[Row]]:
    """Returns the rows of the subject by table, after checking that the state has those of no other subject."""
    parts = {name for name in SUBJECTS if getattr(state, name) is not UNSET}
    if parts != {kind.name}:
        raise Failed(f"state: it has the rows of {len(parts)} subjects, not those of the {kind.noun} alone")
    rows: Mapping[str, Sequence[Row]] = getattr(state, kind.name)
    return rows


def _check_rows(where: str, stated: Sequence[Row] | None, folded: Sequence[Row] | None) -> None:
    if stated is None or folded is None:
        raise Failed(f"{where}: {'it is missing' if stated is None else 'there is no such part of a state'}")
    if len(stated) != len(folded):
        raise Failed(f"{where}: it has {len(stated)} rows, the events make {len(folded)}")
    for number, (row, other) in enumerate(zip(stated, folded, strict=True), 1):
        for name in sorted(row.keys() | other.keys()):
            # as JSON, since in Python 1 equals True
            if name not in row or name not in other or canonical(row[name]) != canonical(other[name]):
                raise Failed(
                    f"{where}, row {number}: {name} is {_show(row.get(name))}, the events make it "
                    f"{_show(other.get(name))}"
                )


def _summary(bundle: Bundle, trusted: Mapping[int, bytes], unproven: Sequence[UnprovenEvent]) -> Checked:
    numbers = [block.number for block in bundle.blocks]
    kind, subject = subject_of(bundle)
    logs = {(event.block_number, event.log_index) for event in unproven}
    return Checked(
        kind.noun,
        subject.did,
        len(bundle.events),
        len(numbers),
        bundle.as_of.number,
        [number for number in numbers if number in trusted],
        [number for number in numbers if number not in trusted],
        sorted(trusted.keys() - set(numbers)),
        _shipped_as(bundle.profile.text),
        [f"{contract.role} {contract.address}" for contract in bundle.contracts],
        unproven,
        sum(_log(event) in logs for event in bundle.events),
    )


def _shipped_as(text: str) -> str | None:
    """Returns the name of the shipped profile with this text."""
    return next((path.stem for path in sorted(SHIPPED.glob("*.toml")) if path.read_text("utf-8") == text), None)


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _show(value: object) -> str:
    return _short(json.dumps(value, ensure_ascii=False))
