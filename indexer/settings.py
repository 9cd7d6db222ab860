"""The settings of `certindex`, read and checked once at the start; see `schema/program/settings.py`."""

import re
from dataclasses import dataclass
from typing import Literal

from indexer.urls import NEXT_URL, check_url, shown_urls
from schema.program.settings import (
    database_pooler,
    database_url,
    log_format,
    metrics_host,
    metrics_port,
    seconds,
    setting,
    shown_database,
    switch,
    text,
    whole_number,
)


def rpc_urls(value: str) -> tuple[str, ...]:
    """Takes URLs of nodes, comma-separated."""
    urls = tuple(url.strip() for url in NEXT_URL.split(value.strip(", ")) if url.strip())
    for url in urls:
        check_url(url, "http", "https")
    if not urls:
        raise ValueError("no URL")
    return urls


def ws_url(value: str) -> str:
    """Takes the WebSocket URL of a node."""
    check_url(value, "ws", "wss")
    return value


HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HEADER_SITE = r"(?:([^\s:,]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)\s+)?"
NEXT_HEADER = re.compile(rf"\n|,(?=\s*{HEADER_SITE.replace('([^', '(?:[^')}{HEADER_NAME}\s*:)")


def rpc_headers(value: str) -> tuple[tuple[str | None, str, str], ...]:
    """Takes HTTP headers, comma-separated, each for every node or for the host before its name."""
    headers = []
    for header in filter(None, map(str.strip, NEXT_HEADER.split(value))):
        match = re.fullmatch(rf"{HEADER_SITE}({HEADER_NAME})\s*:\s*([\t\x20-\x7e\x80-\xff]+)", header)
        if match is None:
            raise ValueError("not headers as Name: value or host Name: value, separated by commas")
        site, name, text = match.groups()
        headers.append((site and site.lower(), name, text))
    return tuple(headers)


def contracts(value: str) -> tuple[tuple[str, bytes], ...]:
    """Takes role=address pairs, comma-separated; a role may have several addresses."""
    pairs = []
    for pair in value.split(","):
        match = re.fullmatch(r"\s*([a-z][a-z0-9_]*)\s*=\s*0x([0-9a-fA-F]*)\s*", pair)
        if match is None:
            raise ValueError(f'"{pair.strip()}" is not role=0xaddress')
        role, digits = match.groups()
        if len(digits) != 40:
            raise ValueError(f'the address "0x{digits}" of {role} has {len(digits)} hex digits, an address has 40')
        pairs.append((role, bytes.fromhex(digits)))
    return tuple(pairs)


def start_block(value: str) -> int | Literal["auto"]:
    """Takes a block number, or auto."""
    try:
        return "auto" if value == "auto" else whole_number(0, 2**43 - 1)(value)
    except ValueError as error:
        raise ValueError(f"{error}, nor auto") from None


keep_proofs = setting(
    switch,
    default="on",
    help="Store the proof of each verified event, 1 to 4 KB a transaction. If off, `certindex prove` fetches it again.",
    example="off",
)

trust_bloom = setting(
    switch,
    optional=True,
    help="Check logs against the bloom in the header of their block. off: for a chain whose nodes leave blooms wrong; "
    "then `certindex attest` reads the receipts of every block. If not set, on, except on chains that are known for "
    "wrong blooms (sources: indexer/chain/blooms.py).",
    example="off",
)


headers_of_nodes: tuple[tuple[str | None, str, str], ...] = setting(
    rpc_headers,
    default="",
    help="HTTP headers for RPC_URLS and WS_URL, Name: value, comma-separated. A host (and port) before the name limits "
    "a header to that host.",
    example="'rpc.example Authorization: Bearer KEY'",
    shown=lambda text: "***",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    database_url: str = setting(
        database_url,
        default="sqlite:///certindex.db",
        help="Database to write: a SQLite file, or a URL or connection string of PostgreSQL's libpq.",
        example="postgresql://user:password@localhost/certindex",
        shown=shown_database,
    )
    database_pooler: str = database_pooler
    chain_id: int | None = setting(
        whole_number(1, 2**63 - 1),
        optional=True,
        help="Chain id of the network. The node must serve it. Required if the database holds another chain.",
        example="137",
    )
    log_format: str = log_format


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildSettings(DatabaseSettings):
    profile: str | None = setting(
        text,
        optional=True,
        help="Profile that decodes the stored events: the name of a shipped profile, or the path of a TOML file. "
        "If not set, the stored profile.",
        example="./mine.toml",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings(DatabaseSettings):
    rpc_urls: tuple[str, ...] = setting(
        rpc_urls,
        help="JSON-RPC URLs of EVM nodes of one network, comma-separated. Requests go to the healthiest node.",
        example="http://127.0.0.1:8545",
        shown=shown_urls,
    )
    rpc_headers: tuple[tuple[str | None, str, str], ...] = headers_of_nodes
    trust_bloom: bool | None = trust_bloom


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings(NodeSettings):
    keep_proofs: bool = keep_proofs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveSettings(DatabaseSettings):
    rpc_urls: tuple[str, ...] | None = setting(
        rpc_urls,
        optional=True,
        help="JSON-RPC URLs of EVM nodes, comma-separated. Used only for events that are not proven yet.",
        example="http://127.0.0.1:8545",
        shown=shown_urls,
    )
    rpc_headers: tuple[tuple[str | None, str, str], ...] = headers_of_nodes
    trust_bloom: bool | None = trust_bloom


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(NodeSettings):
    ws_url: str | None = setting(
        ws_url,
        optional=True,
        help="WebSocket URL of a node of the network. When it announces a block, `certindex run` indexes it at once; "
        "polling continues.",
        example="ws://127.0.0.1:8545",
        shown=shown_urls,
    )
    profile: str | None = setting(
        text,
        optional=True,
        help="Profile that maps events to facts: the name of a shipped profile, or the path of a TOML file. If not "
        "set, the stored profile; for a new chain, device-certificate.",
        example="./mine.toml",
    )
    contracts: tuple[tuple[str, bytes], ...] | None = setting(
        contracts,
        optional=True,
        help="Contracts to watch, role=address, comma-separated. If not set, the stored ones; for a new chain, those "
        "of the profile for the network.",
        example="certificate=0x5FbDB2315678afecb367f032d93F642f64180aa3",
    )
    start_block: int | Literal["auto"] | None = setting(
        start_block,
        optional=True,
        help="First block to index. If it lies after the first block of a contract, answers that rest on the absence "
        "of events are UNKNOWN. auto: find the block of each contract's creation, once; this requires an archive node. "
        "If not set, the stored block; for a new chain, the profile's block for the network, else 0.",
        example="35000000",
    )
    finality_depth: int | None = setting(
        whole_number(0, 10**6),
        optional=True,
        help="Blocks below the head that count as final. If not set, the node's finalized tag decides; on a chain "
        "without that tag, a cautious value for the network (sources: indexer/chain/finality.py), else 64.",
        example="128",
    )
    looks: int = setting(
        whole_number(1, 9),
        default="2",
        help="How many times logs are requested. They are stored if all responses agree.",
        example="1",
    )
    quorum: int = setting(
        whole_number(1, 9),
        default="1",
        help="How many different hosts of RPC_URLS must return the same logs.",
        example="2",
    )
    poll_interval: float = setting(
        seconds(0.01, 3600), default="2", help="Seconds between two polls for a new block.", example="0.5"
    )
    verify: bool = setting(
        switch,
        default="on",
        help="Verify final blocks with events by rebuilding their receipts; on or off.",
        example="off",
    )
    keep_proofs: bool = keep_proofs
    host: str = setting(
        text,
        default="127.0.0.1",
        help="Address to serve on, with --serve; 0.0.0.0 means every interface.",
        example="0.0.0.0",
    )
    port: int = setting(
        whole_number(0, 65535),
        default="8000",
        help="Port to serve on, with --serve; 0 picks a free one.",
        example="8000",
    )
    metrics_host: str = metrics_host
    metrics_port: int | None = metrics_port
