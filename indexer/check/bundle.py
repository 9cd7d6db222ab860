"""The check of a bundle, from its bytes to what it proves. The first thing that does not fit ends it."""

import json
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from indexer.check.refold import Refolded, refold
from indexer.proof.header import ProvenHeader, decode_header
from indexer.proof.receipt import Log, UnknownReceipt, decode_receipt
from indexer.proof.trie import ProofError, prove, trie_key
from schema.abi.rlp import RlpError
from schema.bundle.document import Block, Bundle, Event, Licensed, Receipt, Row, canonical, manifest_of
from schema.bundle.trust import TRUST
from schema.profile.model import SHIPPED

Headers = Mapping[int, ProvenHeader]
Logs = Mapping[tuple[int, int], Sequence[Log]]
"""The logs of receipts that are proven, by block and transaction index."""


class Failed(Exception):
    """The bundle does not prove what it says; the message names the first thing that differs, and how."""


class Checked(Struct, frozen=True):
    """A bundle that fits. `untrusted`: the blocks whose hashes nobody vouched for. `contracts`: role and address.

    `profile`: the name of the shipped profile that the bundle's is, None for another one.
    """

    did: str
    events: int
    blocks: int
    as_of: int
    trusted: Sequence[int]
    untrusted: Sequence[int]
    unused: Sequence[int]
    profile: str | None
    contracts: Sequence[str]


def check(data: bytes, trusted: Mapping[int, bytes]) -> Checked:
    """Checks a bundle; `trusted` holds block hashes by number, from a source of the reader's own. Raises Failed."""
    bundle = _read(data)
    _check_manifest(bundle)
    headers = _check_blocks(bundle, trusted)
    logs = _check_receipts(bundle, headers)
    _check_events(bundle, logs)
    refolded = _refold(bundle, headers)
    _check_nothing_left_out(bundle, logs, refolded)
    _check_readings(bundle, refolded)
    _check_state(bundle, refolded)
    return _summary(bundle, trusted)


def _read(data: bytes) -> Bundle:
    try:
        return msgspec.json.decode(data, type=Bundle)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(f"the file is no bundle of a format that is known here: {error}") from None


def _check_manifest(bundle: Bundle) -> None:
    manifest = manifest_of(bundle)
    if manifest.hash != bundle.manifest.hash:
        raise Failed(
            f"the manifest: the document has the hash {manifest.hash}, the manifest says {bundle.manifest.hash}: "
            "something in the document was changed after it was made"
        )
    for name in ("events", "receipts", "blocks"):
        said, found = getattr(bundle.manifest, name), getattr(manifest, name)
        if said != found:
            raise Failed(f"the manifest: the document holds {found} {name}, the manifest says {said}")
    if bundle.trust != TRUST:
        raise Failed("the trust statement is not the one of this format")


# Blocks and receipts: is each log in the block?


def _check_blocks(bundle: Bundle, trusted: Mapping[int, bytes]) -> Headers:
    """Returns the headers, whose hashes were recomputed."""
    headers: dict[int, ProvenHeader] = {}
    for block in bundle.blocks:
        where = f"block {block.number}"
        header = _header(block, where)
        if _hex(header.hash) != block.hash:
            raise Failed(f"{where}: its header has the hash {_hex(header.hash)}, not {block.hash}")
        if header.number != block.number:
            raise Failed(f"{where}: its header is of block {header.number}")
        if headers and header.number <= max(headers):
            raise Failed(f"{where}: blocks come twice, or out of order")
        if block.number in trusted and trusted[block.number] != header.hash:
            raise Failed(
                f"{where}: its hash is {block.hash}, the trusted one is {_hex(trusted[block.number])}: "
                "it is not a block of that chain"
            )
        headers[block.number] = header
    if headers and bundle.as_of.number < max(headers):
        raise Failed(f"asOf is block {bundle.as_of.number}, though events come up to block {max(headers)}")
    return headers


def _header(block: Block, where: str) -> ProvenHeader:
    if block.header is None:
        raise Failed(
            f"{where}: it was not verified yet when the bundle was made, so there is no header and no proof; "
            "ask for the bundle again later, or make it with certindex prove"
        )
    try:
        return decode_header(bytes.fromhex(block.header[2:]))
    except RlpError as error:
        raise Failed(f"{where}: the header cannot be read: {error}") from None


def _check_receipts(bundle: Bundle, headers: Headers) -> Logs:
    """Returns the logs of all receipts, proven to be in their blocks."""
    found: dict[tuple[int, int], Sequence[Log]] = {}
    next_log: dict[int, int] = {}
    for receipt in bundle.receipts:
        where = f"receipt {receipt.transaction_index} of block {receipt.block_number}"
        place = (receipt.block_number, receipt.transaction_index)
        if receipt.block_number not in headers:
            raise Failed(f"{where}: its block is not in the bundle")
        if found and place <= max(found):
            raise Failed(f"{where}: receipts come twice, or out of order")
        if receipt.first_log_index < next_log.get(receipt.block_number, 0):
            raise Failed(f"{where}: its logs overlap those of the receipt before it")
        found[place] = _proven_logs(receipt, headers[receipt.block_number], where)
        next_log[receipt.block_number] = receipt.first_log_index + len(found[place])
    return found


def _proven_logs(receipt: Receipt, header: ProvenHeader, where: str) -> Sequence[Log]:
    nodes = [bytes.fromhex(node[2:]) for node in receipt.nodes]
    try:
        return decode_receipt(prove(header.receipts_root, trie_key(receipt.transaction_index), nodes)).logs
    except ProofError as error:
        raise Failed(f"{where}: {error}") from None
    except (RlpError, UnknownReceipt) as error:
        raise Failed(f"{where}: the proof cannot be read: {error}") from None


def _check_events(bundle: Bundle, logs: Logs) -> None:
    """Each event is the log of a proven receipt, as it stands there."""
    first = {(receipt.block_number, receipt.transaction_index): receipt.first_log_index for receipt in bundle.receipts}
    watched = {contract.address for contract in bundle.contracts}
    if len(watched) < len(bundle.contracts):
        raise Failed("the contracts: one address comes twice")
    before = (-1, -1)
    for event in bundle.events:
        where = _where(event)
        if (event.block_number, event.log_index) <= before:
            raise Failed(f"{where}: events come twice, or out of order")
        before = (event.block_number, event.log_index)
        place = (event.block_number, event.transaction_index)
        if place not in logs:
            raise Failed(f"{where}: the bundle holds no proof of its receipt, {event.transaction_index} of the block")
        index = event.log_index - first[place]
        if not 0 <= index < len(logs[place]):
            raise Failed(f"{where}: its receipt holds the logs {first[place]} to {first[place] + len(logs[place]) - 1}")
        if event.address not in watched:
            raise Failed(f"{where}: its contract {event.address} is none of the watched ones")
        _check_log(event, logs[place][index], where)
    _check_all_are_used(bundle)


def _check_log(event: Event, log: Log, where: str) -> None:
    told = {"address": event.address, "topics": "0x" + "".join(topic[2:] for topic in event.topics), "data": event.data}
    proven = {"address": _hex(log.address), "topics": _hex(log.topics), "data": _hex(log.data)}
    for name, value in told.items():
        if value != proven[name]:
            raise Failed(f"{where}: its {name} is {_short(value)}, the log in the receipt has {_short(proven[name])}")


def _check_all_are_used(bundle: Bundle) -> None:
    """What no event needs is not evidence for anything here."""
    places = {(event.block_number, event.transaction_index) for event in bundle.events}
    numbers = {event.block_number for event in bundle.events}
    for receipt in bundle.receipts:
        if (receipt.block_number, receipt.transaction_index) not in places:
            raise Failed(f"receipt {receipt.transaction_index} of block {receipt.block_number}: it is of no event")
    for block in bundle.blocks:
        if block.number not in numbers:
            raise Failed(f"block {block.number}: it holds no event")


# Readings and state: do they follow from the logs?


def _refold(bundle: Bundle, headers: Headers) -> Refolded:
    try:
        return refold(bundle, headers)
    except ValueError as error:
        raise Failed(str(error)) from None


def _check_nothing_left_out(bundle: Bundle, logs: Logs, refolded: Refolded) -> None:
    """No log of a proven receipt tells something about the device that the bundle keeps quiet about."""
    first = {(receipt.block_number, receipt.transaction_index): receipt.first_log_index for receipt in bundle.receipts}
    told = {(event.block_number, event.log_index) for event in bundle.events}
    for (number, transaction), found in logs.items():
        for index, log in enumerate(found, first[number, transaction]):
            if (number, index) not in told and refolded.is_about_the_device(log, number):
                raise Failed(f"log {index} of block {number} is about the device, and the bundle leaves it out")


def _check_readings(bundle: Bundle, refolded: Refolded) -> None:
    for event, reading in zip(bundle.events, refolded.readings, strict=True):
        for name in reading.__struct_fields__:
            told, found = getattr(event.reading, name), getattr(reading, name)
            if told != found:
                raise Failed(f"{_where(event)}: its reading says {name} {_show(told)}, its bytes say {_show(found)}")


def _check_state(bundle: Bundle, refolded: Refolded) -> None:
    state = refolded.state
    for table in sorted(bundle.state.device.keys() | state.device.keys()):
        _check_rows(f"state, {table}", bundle.state.device.get(table), state.device.get(table))
    for kind in ("manufacturers", "hardware_licenses"):
        told: Sequence[Licensed] = getattr(bundle.state, kind)
        found: Sequence[Licensed] = getattr(state, kind)
        if [one.id for one in told] != [one.id for one in found]:
            raise Failed(
                f"state: the {kind} are {_show([one.id for one in told])}, the events name "
                f"{_show([one.id for one in found])}"
            )
        for one, other in zip(told, found, strict=True):
            where = f"state, {kind}, {one.id}"
            if (one.contract, one.token_id) != (other.contract, other.token_id):
                raise Failed(
                    f"{where}: it is {one.contract} {one.token_id}, the events say {other.contract} {other.token_id}"
                )
            _check_rows(where, one.versions, other.versions)


def _check_rows(where: str, told: Sequence[Row] | None, found: Sequence[Row] | None) -> None:
    if told is None or found is None:
        raise Failed(f"{where}: {'it is missing' if told is None else 'there is no such part of a state'}")
    if len(told) != len(found):
        raise Failed(f"{where}: {len(told)} rows are told, the events make {len(found)}")
    for number, (row, other) in enumerate(zip(told, found, strict=True), 1):
        for name in sorted(row.keys() | other.keys()):
            # as JSON, since 1 equals true otherwise
            if name not in row or name not in other or canonical(row[name]) != canonical(other[name]):
                raise Failed(
                    f"{where}, row {number}: {name} is {_show(row.get(name))}, the events make it "
                    f"{_show(other.get(name))}"
                )


def _summary(bundle: Bundle, trusted: Mapping[int, bytes]) -> Checked:
    numbers = [block.number for block in bundle.blocks]
    return Checked(
        bundle.device.did,
        len(bundle.events),
        len(numbers),
        bundle.as_of.number,
        [number for number in numbers if number in trusted],
        [number for number in numbers if number not in trusted],
        sorted(trusted.keys() - set(numbers)),
        _shipped_as(bundle.profile.text),
        [f"{contract.role} {contract.address}" for contract in bundle.contracts],
    )


def _shipped_as(text: str) -> str | None:
    """Returns the name of the shipped profile that has this text."""
    return next((path.stem for path in sorted(SHIPPED.glob("*.toml")) if path.read_text("utf-8") == text), None)


def _where(event: Event) -> str:
    return f"event {event.log_index} of block {event.block_number}"


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _show(value: object) -> str:
    return _short(json.dumps(value, ensure_ascii=False))
