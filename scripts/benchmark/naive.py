"""A naive indexer to compare with: web3.py's get_logs and process_log, and session.add for every row.

It requests logs in ranges of 1,000 blocks and the header of each block that has any, and checks nothing. It uses our
fold, so that it ends with the same rows, and builds the indexes last.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import inspect
from sqlmodel import Session, SQLModel
from web3 import HTTPProvider, Web3

from indexer.chain.wire import Header, RawLog
from indexer.changes import Changes
from indexer.fold.fold import fold
from indexer.fold.located_fact import LocatedFact, named_by
from indexer.store.digest import block_digest
from indexer.store.open_rows import load_open_rows
from indexer.store.watch_set import WatchedContract, digest_of, register
from indexer.sync.interpretation import interpret
from schema.events import Address, Fact
from schema.profile.model import load_profile
from schema.profile.reader import Contracts, Numbering
from schema.profile.rules import Constant, FromArgument, Rule
from schema.tables import tables
from schema.tables.columns import Uint256
from schema.tables.database import connect, migrate
from schema.tables.indexes import SECONDARY_INDEXES
from schema.tables.kinds import SPANS
from schema.tables.values import position
from schema.vocabulary import VerificationLevel
from scripts.benchmark.recording import CHAIN_ID, CONTRACT

RANGE_BLOCKS = 1_000
PROFILE = load_profile("device-certificate")
WATCHED = WatchedContract("certificate", bytes.fromhex(CONTRACT), 0, True)
MODELS: dict[str, type[SQLModel]] = {
    str(mapper.class_.__tablename__): mapper.class_ for mapper in SQLModel._sa_registry.mappers
}
ATTRIBUTES = {
    name: {
        attribute.key: attribute.columns[0] for attribute in inspect(model).column_attrs if attribute.key != "chain_id"
    }
    for name, model in MODELS.items()
}


def index(rpc_url: str, database_url: str) -> int:
    """Indexes the whole chain into an empty database. Returns the number of events."""
    engine = connect(database_url)
    migrate(engine)
    with engine.begin() as connection:
        register(connection, CHAIN_ID, PROFILE, [WATCHED])
    policy = interpret(PROFILE, [WATCHED]).policy
    web3 = Web3(HTTPProvider(rpc_url))
    head, events = web3.eth.block_number, 0
    digest = digest_of(CHAIN_ID, [WATCHED])
    contract = web3.eth.contract(address=Web3.to_checksum_address("0x" + CONTRACT), abi=_abi(PROFILE.rules))
    by_topic = {rule.event.topic0: (rule, contract.events[rule.event.name]()) for rule in PROFILE.rules}
    for start in range(0, head + 1, RANGE_BLOCKS):
        end = min(start + RANGE_BLOCKS - 1, head)
        query: Any = {"fromBlock": start, "toBlock": end, "address": contract.address}
        all_logs = web3.eth.get_logs(query)
        facts: list[LocatedFact] = []
        with Session(engine) as session:
            for number, group in groupby(all_logs, key=lambda log: log["blockNumber"]):
                logs, header = list(group), _header(web3.eth.get_block(number))
                digest = block_digest(digest, header.hash, [_raw(log) for log in logs])
                session.add(_block(header, digest))
                facts += [_located(log, header, *by_topic[bytes(log["topics"][0])]) for log in logs]
                events += len(logs)
            changes = fold(load_open_rows(session.connection(), CHAIN_ID, named_by(facts)), facts, policy)
            session.add_all(_event(log, changes) for log in all_logs)
            _write(session, changes)
            session.commit()
    with engine.begin() as connection:
        for secondary in SECONDARY_INDEXES:
            connection.exec_driver_sql(secondary.ddl)
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()
    return events


def _abi(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [
        {
            "type": "event",
            "name": rule.event.name,
            "anonymous": False,
            "inputs": [{"name": part.name, "type": part.type, "indexed": part.indexed} for part in rule.event.inputs],
        }
        for rule in rules
    ]


def _located(log: Any, header: Header, rule: Rule, event: Any) -> LocatedFact:
    arguments = event.process_log(log)["args"]
    fact: Fact = rule.fact_type(**{field: _value(rule, binding, arguments) for field, binding in rule.fields.items()})
    contracts = Contracts(*[Address(bytes.fromhex(CONTRACT))] * len(Numbering.__struct_fields__))
    place = position(log["blockNumber"], log["logIndex"])
    return LocatedFact(place, header.timestamp, log["transactionIndex"], fact, contracts)


def _value(rule: Rule, binding: object, arguments: Mapping[str, Any]) -> Any:
    match binding:
        case Constant(value):
            return value
        case FromArgument((index,), None):
            argument = rule.event.inputs[index]
            value = arguments[argument.name]
            return bytes.fromhex(value[2:]) if argument.type == "address" else value
        case _:
            raise ValueError(f"{rule.event.name}: the naive indexer knows no {binding}")


# Rows, one object each


def _write(session: Session, changes: Changes) -> None:
    for table, closed in changes.closed.items():
        for row in closed:
            key = (CHAIN_ID, getattr(row, SPANS[table].owner), row.valid_from)
            stored = session.get(MODELS[table], key)
            for column in SPANS[table].end_columns:
                setattr(stored, column, getattr(row, column))
    for table, inserted in changes.inserted.items():
        session.add_all(_models(table, inserted))


def _models(table: str, rows: Sequence[Any]) -> Iterator[SQLModel]:
    for row in rows:
        yield MODELS[table](
            chain_id=CHAIN_ID,
            **{key: _plain(getattr(row, column.name), column) for key, column in ATTRIBUTES[table].items()},
        )


def _plain(value: Any, column: Any) -> Any:
    """Returns a value as a model takes it: a number instead of the bytes in the fold's rows."""
    return int.from_bytes(value, "big") if value is not None and isinstance(column.type, Uint256) else value


def _event(log: Any, changes: Changes) -> tables.Event:
    raw = _raw(log)
    return tables.Event(chain_id=CHAIN_ID, **asdict(raw), **asdict(changes.readings[raw.position]))


def _block(header: Header, digest: bytes) -> tables.Block:
    return tables.Block(chain_id=CHAIN_ID, **asdict(header), level=VerificationLevel.RPC.value, digest=digest)


def _header(block: Any) -> Header:
    return Header(
        block["number"],
        bytes(block["hash"]),
        bytes(block["parentHash"]),
        block["timestamp"],
        bytes(block["stateRoot"]),
        bytes(block["transactionsRoot"]),
        bytes(block["receiptsRoot"]),
        None,
    )


def _raw(log: Any) -> RawLog:
    return RawLog(
        position(log["blockNumber"], log["logIndex"]),
        bytes.fromhex(log["address"][2:]),
        b"".join(log["topics"]),
        bytes(log["data"]),
        bytes(log["transactionHash"]),
        log["transactionIndex"],
        None,
        log["blockNumber"],
        bytes(log["blockHash"]),
    )
