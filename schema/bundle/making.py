"""Makes a bundle from a database, by SELECTs in the caller's transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from msgspec import UNSET
from sqlalchemy import Connection, Row, null, select, text

from schema.abi.rlp import RlpError, decode, items, string
from schema.bundle import document
from schema.bundle.document import Bundle, Contents, addresses_by_role, seal
from schema.bundle.state import (
    FACT_FLAGS,
    NO_READING,
    bundle_reading,
    bundle_rows,
    bundled,
    place_text,
    position_text,
    to_hex,
)
from schema.bundle.subjects import DEVICE, SubjectKind
from schema.bundle.trust import trust_of
from schema.bundle.unproven import Cause, cause_of, provable_at
from schema.did import TokenDid
from schema.events import Kind
from schema.profile.model import parse_profile
from schema.profile.reader import DecodedEvent, Mapped, Reader, Unjoined, event_of
from schema.tables.damage import DamagedData
from schema.tables.tables import Chain
from schema.tables.values import OFFSET_BITS, block_of, end_of_block, offset_of
from schema.vocabulary import FailureCause

TABLES = Chain.metadata.tables

MANUFACTURER_KINDS = (
    Kind.MANUFACTURER_LICENSED,
    Kind.MANUFACTURER_LICENSE_REVOKED,
    Kind.MANUFACTURER_MINTED,
    Kind.MANUFACTURER_TRANSFERRED,
    Kind.MANUFACTURER_ATTRIBUTE_SET,
)
"""The events that change a manufacturer; those of a hardware license only name it."""

CHUNK = 500
"""Values in one IN list."""


class Dependencies(NamedTuple):
    """The ids of what a subject's state depends on. An id is the position of the first event that names the subject.

    `licenses` are the NFTs that the manufacturers' accounts held; `predecessors` are devices. `sharing` are devices
    that had an address of the device at some time, if logs name devices by their addresses.
    """

    manufacturers: Sequence[int]
    hardware_licenses: Sequence[int]
    licenses: Sequence[int]
    predecessors: Sequence[int]
    vehicles: Sequence[int]
    sharing: Sequence[int] = ()

    @property
    def named(self) -> Sequence[int]:
        return sorted({*self.manufacturers, *self.hardware_licenses, *self.predecessors, *self.vehicles})


def make_bundle(
    connection: Connection, chain_id: int, contract: bytes, token_id: int, kind: SubjectKind = DEVICE
) -> Bundle | None:
    """Returns the bundle of a subject as it is indexed, None if there is no such subject. Raises DamagedData."""
    identity = TABLES[kind.name].c
    id = connection.execute(
        select(identity.id).where(
            identity.chain_id == chain_id, identity.contract == contract, identity.token_id == token_id
        )
    ).scalar_one_or_none()
    if id is None:
        return None
    chain = connection.execute(select(TABLES["chain"]).where(TABLES["chain"].c.chain_id == chain_id)).one()
    profile = connection.execute(select(TABLES["profile"]).where(TABLES["profile"].c.chain_id == chain_id)).one()
    watched = _contracts(connection, chain_id)
    reader = parse_profile(profile.text, "the stored profile").compile(addresses_by_role(watched))
    dependencies = _dependencies(connection, chain_id, kind, id)
    if reader.names_by_address and kind is DEVICE:
        dependencies = dependencies._replace(sharing=_sharing(connection, chain_id, id))
    events = _events(connection, chain_id, kind, id, dependencies)
    logs = _logs(connection, chain_id, events)
    if reader.joins:
        joined = _joined(connection, chain_id, reader, logs)
        logs |= joined
        events = _in_order([*events, *joined.values()])
    emitters = {to_hex(event.address) for event in events}
    contracts = [one for one in watched if one.created_by is UNSET or one.address in emitters]
    places = {event.position: _place(event) for event in events if event.wide_log_index is not None or event.item}
    blocks = _blocks(connection, chain_id, sorted({block_of(event.position) for event in events}))
    receipts = _receipts(
        connection, chain_id, {(block_of(event.position), event.transaction_index) for event in events}
    )
    subject = document.Subject(
        did=str(TokenDid(chain_id, contract, token_id)), contract=to_hex(contract), token_id=str(token_id)
    )
    rows = {name: _rows(connection, chain_id, name, kind.owner, id, places) for name in kind.tables}
    state: dict[str, Any] = {kind.name: rows}
    return seal(
        Contents(
            format=document.FORMAT,
            trust=trust_of(kind.noun),
            chain_id=chain_id,
            **{kind.name: subject},
            as_of=document.BlockPoint(
                number=chain.indexed_number, hash=to_hex(chain.indexed_hash), timestamp=chain.indexed_time
            ),
            profile=document.ProfileText(name=profile.name, text=profile.text),
            contracts=contracts,
            blocks=blocks,
            receipts=receipts,
            events=list(_read_events(reader, events, logs, (id, token_id) if kind is DEVICE else None)),
            state=document.State(
                **state,
                manufacturers=_licensed(connection, chain_id, "manufacturer", dependencies.manufacturers, places),
                hardware_licenses=_licensed(
                    connection, chain_id, "hardware_license", dependencies.hardware_licenses, places
                ),
            ),
            unproven=_unproven(connection, chain, events, blocks, receipts) or UNSET,
        )
    )


# What the state depends on


NAMED = ("manufacturer_id", "hardware_license_id", "vehicle_id", "predecessor_id")
"""The columns of a version that name others."""


def _dependencies(connection: Connection, chain_id: int, kind: SubjectKind, id: int) -> Dependencies:
    version = TABLES[f"{kind.name}_version"].c
    columns = [version[name] if name in version and name != kind.owner else null().label(name) for name in NAMED]
    named = connection.execute(select(*columns).where(version.chain_id == chain_id, version[kind.owner] == id)).all()
    hardware_licenses = _ids(row.hardware_license_id for row in named)
    holder = TABLES["hardware_license_version"].c
    manufacturers = _ids(
        [
            *(row.manufacturer_id for row in named),
            *_column(connection, chain_id, holder.manufacturer_id, holder.hardware_license_id, hardware_licenses),
        ]
    )
    maker = TABLES["manufacturer_version"].c
    accounts = set(_column(connection, chain_id, maker.account, maker.manufacturer_id, manufacturers)) - {None}
    held = TABLES["license_version"].c
    licenses = _ids(_column(connection, chain_id, held.license_id, held.holder, sorted(accounts)))
    return Dependencies(
        manufacturers,
        hardware_licenses,
        licenses,
        _ids(row.predecessor_id for row in named),
        _ids(row.vehicle_id for row in named),
    )


def _sharing(connection: Connection, chain_id: int, id: int) -> Sequence[int]:
    """Returns the devices that had an address of the device, or of such a device: a log may mean each of them."""
    keys = TABLES["device_key"].c
    devices: set[int] = set()
    further = {id}
    while further:
        devices |= further
        addresses = set(_column(connection, chain_id, keys.address, keys.device_id, sorted(further))) - {None}
        further = set(_column(connection, chain_id, keys.device_id, keys.address, sorted(addresses))) - devices
    return sorted(devices - {id})


def _events(
    connection: Connection, chain_id: int, kind: SubjectKind, id: int, dependencies: Dependencies
) -> list[Row[Any]]:
    """Returns the events of the subject and of its dependencies, and the first event that names each of these."""
    event = TABLES["event"].c
    events: dict[int, Row[Any]] = {}
    for column, ids in (
        (event[kind.owner], [id]),
        (event.device_id, [*dependencies.predecessors, *dependencies.sharing]),
        (event.hardware_license_id, dependencies.hardware_licenses),
        (event.license_id, dependencies.licenses),
        (event.manufacturer_id, dependencies.manufacturers),
        (event.position, dependencies.named),
    ):
        for chunk in _chunks(ids):
            query = select(TABLES["event"]).where(event.chain_id == chain_id, column.in_(chunk))
            if column is event.manufacturer_id:
                query = query.where(event.kind.in_([kind.value for kind in MANUFACTURER_KINDS]))
            events |= {row.position: row for row in connection.execute(query)}
    return _in_order(events.values())


def _logs(connection: Connection, chain_id: int, events: Iterable[Row[Any]]) -> dict[int, Row[Any]]:
    """Returns the logs of events, by their positions: of the events of a log, the first one has its bytes."""
    event = TABLES["event"].c
    logs = {row.position: row for row in events if row.item == 0}
    missing = sorted({row.position - row.item for row in events} - logs.keys())
    for chunk in _chunks(missing):
        query = select(TABLES["event"]).where(event.chain_id == chain_id, event.position.in_(chunk))
        logs |= {row.position: row for row in connection.execute(query)}
    return logs


def _joined(connection: Connection, chain_id: int, reader: Reader, logs: Mapping[int, Row[Any]]) -> dict[int, Row[Any]]:
    """Returns, of each transaction with a log that needs a joined one, all logs that may be joined."""
    event = TABLES["event"].c
    needing = {
        (block_of(row.position), row.transaction_index)
        for row in logs.values()
        if isinstance(reader.read(row.address, row.topics, row.data, block_of(row.position)), Unjoined)
    }
    joined: dict[int, Row[Any]] = {}
    for number, index in needing:
        of_block = event.position.between(number << OFFSET_BITS, end_of_block(number))
        query = select(TABLES["event"]).where(event.chain_id == chain_id, of_block, event.transaction_index == index)
        rows = connection.execute(query.where(event.item == 0))
        joined |= {row.position: row for row in rows if reader.may_join(row)}
    return joined


def _in_order(events: Iterable[Row[Any]]) -> list[Row[Any]]:
    by_position = {event.position: event for event in events}
    return [by_position[position] for position in sorted(by_position)]


# The parts


def _contracts(connection: Connection, chain_id: int) -> list[document.Contract]:
    contract = TABLES["contract"].c
    query = select(TABLES["contract"]).where(contract.chain_id == chain_id)
    return [
        document.Contract(
            role=row.role,
            address=to_hex(row.address),
            start_block=row.start_block,
            whole=row.whole,
            created_by=UNSET if row.factory_position is None else position_text(row.factory_position),
        )
        for row in connection.execute(query.order_by(contract.role, contract.address))
    ]


def _blocks(connection: Connection, chain_id: int, numbers: Sequence[int]) -> list[document.Block]:
    block, header = TABLES["block"].c, TABLES["verified_header"].c
    tables = TABLES["block"].outerjoin(
        TABLES["verified_header"], (header.chain_id == block.chain_id) & (header.number == block.number)
    )
    query = select(block.number, block.hash, block.timestamp, header.rlp).select_from(tables)
    query = query.where(block.chain_id == chain_id)
    return [
        document.Block(
            number=row.number,
            hash=to_hex(row.hash),
            header=None if row.rlp is None else to_hex(row.rlp),
            timestamp=row.timestamp if row.rlp is None else UNSET,
        )
        for chunk in _chunks(numbers)
        for row in connection.execute(query.where(block.number.in_(chunk)).order_by(block.number))
    ]


def _receipts(connection: Connection, chain_id: int, places: set[tuple[int, int]]) -> list[document.Receipt]:
    proof = TABLES["receipt_proof"].c
    query = select(TABLES["receipt_proof"]).where(proof.chain_id == chain_id)
    return [
        document.Receipt(
            block_number=row.block_number,
            transaction_index=row.transaction_index,
            first_log_index=row.first_log_index,
            nodes=_nodes(row),
        )
        for chunk in _chunks(sorted({number for number, _ in places}))
        for row in connection.execute(
            query.where(proof.block_number.in_(chunk)).order_by(proof.block_number, proof.transaction_index)
        )
        if (row.block_number, row.transaction_index) in places
    ]


def _unproven(
    connection: Connection,
    chain: Row[Any],
    events: Iterable[Row[Any]],
    blocks: Iterable[document.Block],
    receipts: Iterable[document.Receipt],
) -> list[document.UnprovenEvent]:
    """Returns the events whose blocks are not verified, or whose proofs are not stored."""
    headed = {block.number for block in blocks if block.header is not None}
    proven = {(receipt.block_number, receipt.transaction_index) for receipt in receipts}
    logs = {event.position - event.item: event for event in events}  # an event stands for its log
    without = [event for event in logs.values() if (block_of(event.position), event.transaction_index) not in proven]
    failures = _failures(connection, chain.chain_id, sorted({block_of(event.position) for event in without}))
    final = -1 if chain.finalized_number is None else min(chain.finalized_number, chain.indexed_number)
    unproven: list[document.UnprovenEvent] = []
    for event in without:
        number = block_of(event.position)
        cause = Cause.NOT_STORED if number in headed else cause_of(number, final, failures.get(number))
        unproven.append(
            document.UnprovenEvent(
                block_number=number,
                log_index=_log_index(event),
                cause=cause,
                provable_at=provable_at(cause, number, chain.indexed_number, final),
            )
        )
    return unproven


def _failures(connection: Connection, chain_id: int, numbers: Sequence[int]) -> dict[int, FailureCause]:
    failure = TABLES["verification_failure"].c
    query = select(failure.number, failure.cause).where(failure.chain_id == chain_id)
    return {
        row.number: FailureCause(row.cause)
        for chunk in _chunks(numbers)
        for row in connection.execute(query.where(failure.number.in_(chunk)))
    }


def _nodes(row: Row[Any]) -> list[str]:
    try:
        return [to_hex(string(node)) for node in items(decode(row.nodes))]
    except RlpError:
        number = row.block_number
        raise DamagedData(
            f"The stored proof of transaction {row.transaction_index} of block {number} cannot be read. Make it again: "
            f"certindex verify --from {number} --to {number}"
        ) from None


def _read_events(
    reader: Reader, events: Sequence[Row[Any]], logs: Mapping[int, Row[Any]], device: tuple[int, int] | None
) -> Iterator[document.Event]:
    for number, block in groupby(events, lambda event: block_of(event.position)):
        of_log = {position: list(events) for position, events in groupby(block, lambda row: row.position - row.item)}
        readings = reader.read_block([logs[position] for position in of_log], number)
        for (position, events_of_log), reading in zip(of_log.items(), readings, strict=True):
            log = logs[position]
            for event in events_of_log:
                read = event_of(reading, event.item)
                yield _event(
                    event, log if event is events_of_log[0] else None, read, device, is_joined=reader.may_join(event)
                )


def _event(
    event: Row[Any], log: Row[Any] | None, reading: DecodedEvent, device: tuple[int, int] | None, *, is_joined: bool
) -> document.Event:
    """Returns an event with the bytes of its log, None if an event before it has them.

    `device` has the id and the token of the bundle's own device.
    """
    if not isinstance(reading, Mapped) and not is_joined:
        raise DamagedData(
            f"The event at block {block_of(event.position)}, log {_log_index(event)} is not read as it was "
            "stored. Read all events again: certindex rebuild"
        )
    id, token = device if device is not None and event.device_id == device[0] else (None, None)
    flags = event.flags & FACT_FLAGS if id is None else event.flags
    topics, data = (b"", b"") if log is None else (log.topics, log.data)
    return document.Event(
        block_number=block_of(event.position),
        log_index=_log_index(event),
        item=event.item or UNSET,
        transaction_index=event.transaction_index,
        transaction_hash=to_hex(event.transaction_hash),
        address=to_hex(event.address),
        topics=[to_hex(topics[start : start + 32]) for start in range(0, len(topics), 32)],
        data=to_hex(data),
        reading=bundle_reading(reading, event.event_time, event.biz_step, event.disposition, flags, token)
        if isinstance(reading, Mapped)
        else NO_READING,
    )


def _log_index(event: Row[Any]) -> int:
    return offset_of(event.position) if event.wide_log_index is None else int(event.wide_log_index)


def _place(event: Row[Any]) -> str:
    return place_text(block_of(event.position), _log_index(event), event.item)


def _licensed(
    connection: Connection, chain_id: int, kind: str, ids: Sequence[int], places: Mapping[int, str]
) -> list[document.Licensed]:
    identity = TABLES[kind].c
    query = select(identity.id, identity.contract, identity.token_id).where(identity.chain_id == chain_id)
    return [
        document.Licensed(
            id=position_text(row.id, places),
            contract=to_hex(row.contract),
            token_id=str(row.token_id),
            versions=_rows(connection, chain_id, f"{kind}_version", f"{kind}_id", row.id, places),
        )
        for chunk in _chunks(ids)
        for row in connection.execute(query.where(identity.id.in_(chunk)).order_by(identity.id))
    ]


def _rows(
    connection: Connection, chain_id: int, name: str, owner: str, id: int, places: Mapping[int, str]
) -> list[document.Row]:
    # without column types, rows come in the database's encoding, as the fold's rows are
    columns = ", ".join(bundled(name, owner, TABLES[name].columns.keys()))
    query = text(f'SELECT {columns} FROM "{name}" WHERE chain_id = :chain_id AND {owner} = :id')
    rows = connection.execute(query, {"chain_id": chain_id, "id": id})
    return bundle_rows((row._mapping for row in rows), places)


def _column(connection: Connection, chain_id: int, column: Any, key: Any, keys: Sequence[Any]) -> list[Any]:
    chain = column.table.c.chain_id
    return [
        value
        for chunk in _chunks(keys)
        for value in connection.execute(select(column).where(chain == chain_id, key.in_(chunk))).scalars()
    ]


def _ids(ids: Iterable[int | None]) -> list[int]:
    return sorted({id for id in ids if id is not None})


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
