"""The settings of `certindex-api`, from its options and the environment."""

import re
from dataclasses import dataclass
from ipaddress import ip_network

from schema.program.settings import (
    database_pooler,
    indexed_database,
    log_format,
    metrics_host,
    metrics_port,
    one_of,
    seconds,
    setting,
    switch,
    text,
    whole_number,
)


def rate(value: str) -> str:
    """Parses a rate, such as 600/minute."""
    from limits import parse_many  # slow to import: only if a rate is set

    try:
        (_,) = parse_many(value)
    except ValueError:
        raise ValueError("not a rate for one second, minute, hour or day") from None
    return value


def networks(value: str) -> str:
    """Parses addresses and networks, comma-separated."""
    for part in value.split(","):
        try:
            ip_network(part.strip())
        except ValueError as error:
            raise ValueError(str(error)) from None
    return value


def origin(value: str) -> str:
    """Parses the address of a site: scheme and host, without a path."""
    if not re.fullmatch(r"https?://[^\s/?#@\"<>]+/?", value):
        raise ValueError("not http:// or https:// with a host and without a path")
    return value.rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str = indexed_database
    database_pooler: str = database_pooler
    host: str = setting(
        text, default="127.0.0.1", help="Address to listen on; 0.0.0.0 listens on every network.", example="0.0.0.0"
    )
    port: int = setting(
        whole_number(0, 65535), default="8000", help="Port to listen on; 0 chooses a free one.", example="8000"
    )
    workers: int = setting(
        whole_number(1, 64),
        default="1",
        help="Processes that serve the port. Each has its own cache and limits of connections.",
        example="4",
    )
    max_lag_seconds: int = setting(
        whole_number(0, 10**9),
        default="300",
        help="Seconds of chain time that the index may lag behind the head while /readyz returns 200.",
        example="60",
    )
    poll_stale_seconds: int = setting(
        whole_number(1, 10**9),
        default="120",
        help="Seconds since a provider last answered the indexer while /readyz returns 200.",
        example="30",
    )
    graphiql: bool = setting(switch, default="on", help="Serve GraphiQL to browsers at /graphql.", example="off")
    explorer: bool = setting(
        switch, default="on", help="Serve the explorer: pages for people, from / on.", example="off"
    )
    explorer_name: str = setting(
        text, default="certindex", help="Name of the site on the explorer's pages.", example="Acme device register"
    )
    base_url: str | None = setting(
        origin,
        optional=True,
        help="Address at which people reach the explorer, for the links that it prints. If not set, the address of "
        "each request. Its pages may use /mcp from a browser.",
        example="https://devices.example.org",
    )
    mcp: bool = setting(
        switch,
        default="on",
        help="Serve tools for agents (Model Context Protocol) at /mcp. Needs the extra certindex[mcp].",
        example="off",
    )
    signing_key: str | None = setting(
        text,
        optional=True,
        help="File with the Ed25519 key in PEM that signs credentials, or the PEM itself; certindex-api keys new makes "
        "one. Further keys in it are published too. Needs BASE_URL and the extra certindex[credentials].",
        example="./signing-key.pem",
        shown=lambda value: "PEM" if "-----BEGIN" in value else value,
    )
    epcis: bool = setting(
        switch, default="on", help="Serve the history of devices as EPCIS 2.0 events at /epcis.", example="off"
    )
    dimo_api: str = setting(
        one_of("auto", "on", "off"),
        default="auto",
        help="Serve the schema of DIMO's identity API at /query; auto: if the database was made with the profile dimo, "
        "and TRUSTED_DOCUMENTS is not set.",
        example="on",
    )
    introspection: bool = setting(
        switch,
        default="on",
        help="Answer introspection queries; GraphiQL needs them. /schema.graphql is served in either case.",
        example="off",
    )
    compiled: bool = setting(
        switch,
        default="on",
        help="Execute repeated documents by the compiled executor. It returns the same answers, faster.",
        example="off",
    )
    trusted_documents: str | None = setting(
        text,
        optional=True,
        help="Manifest of trusted documents: a JSON file of ids and documents, or a folder of such files. If set, no "
        "other document of a client is executed, and GraphiQL and /query are off.",
        example="./documents.json",
    )
    max_body_bytes: int = setting(
        whole_number(1024, 10**9),
        default="1000000",
        help="Maximum size of a request body, in bytes.",
        example="1000000",
    )
    max_seconds: float = setting(
        seconds(0.1, 3600),
        default="10",
        help="Maximum seconds for one answer. After that its SQL is canceled.",
        example="30",
    )
    max_cost: int = setting(
        whole_number(1, 10**9),
        default="10000",
        help="Maximum cost of one request: the rows that it can return.",
        example="20000",
    )
    max_depth: int = setting(
        whole_number(1, 1000), default="12", help="Maximum levels of nested fields in one request.", example="15"
    )
    max_aliases: int = setting(
        whole_number(0, 10**6), default="100", help="Maximum aliases in one document.", example="200"
    )
    max_tokens: int = setting(
        whole_number(100, 10**6), default="10000", help="Maximum tokens in one document.", example="20000"
    )
    cache_bytes: int = setting(
        whole_number(0, 10**12),
        default="64000000",
        help="Bytes of responses to cache until the database changes; 0 caches none.",
        example="0",
    )
    request_rate: str | None = setting(
        rate,
        optional=True,
        help="Maximum rate of requests of one client, including operations over WebSocket. Unlimited if not set.",
        example="600/minute",
    )
    cost_rate: str | None = setting(
        rate,
        optional=True,
        help="Maximum rate of the cost of one client's requests, at least MAX_COST. Cached responses cost nothing. "
        "Unlimited if not set.",
        example="200000/minute",
    )
    trusted_proxies: str | None = setting(
        networks,
        optional=True,
        help="Addresses and networks of proxies, comma-separated, whose X-Forwarded-For header names the client. If "
        "not set, the client is the peer of the connection.",
        example="10.0.0.0/8,127.0.0.1",
    )
    max_connections: int = setting(
        whole_number(1, 10**6),
        default="1000",
        help="Maximum number of open WebSockets and event streams.",
        example="5000",
    )
    max_subscriptions: int = setting(
        whole_number(1, 10**6),
        default="50",
        help="Maximum number of running operations on one WebSocket.",
        example="100",
    )
    max_exports: int = setting(
        whole_number(1, 10**6),
        default="20",
        help="Maximum number of downloads of exports at a time. Further ones are refused with 503.",
        example="100",
    )
    drain_seconds: float = setting(
        seconds(0, 3600),
        default="0",
        help="Seconds for which a server that is stopped goes on answering while /readyz returns 503, so that load "
        "balancers send their requests elsewhere.",
        example="5",
    )
    send_seconds: float = setting(
        seconds(0.1, 3600),
        default="10",
        help="Seconds that a client may take to receive one message of a subscription, or 64 KiB of a download, before "
        "it is cut off.",
        example="30",
    )
    log_format: str = log_format
    metrics_host: str = metrics_host
    metrics_port: int | None = metrics_port
