"""What `certindex-api` is told at its start."""

from dataclasses import dataclass
from ipaddress import ip_network

from schema.program.settings import (
    database_url,
    log_format,
    metrics_host,
    metrics_port,
    seconds,
    setting,
    switch,
    text,
    whole_number,
)


def rate(value: str) -> str:
    """Take a number for a time."""
    from limits import parse_many  # with all its storages: of use only where a rate is set

    try:
        (_,) = parse_many(value)
    except ValueError:
        raise ValueError("not a number for a second, minute, hour or day") from None
    return value


def networks(value: str) -> str:
    """Take addresses and networks, comma-separated."""
    for part in value.split(","):
        try:
            ip_network(part.strip())
        except ValueError as error:
            raise ValueError(str(error)) from None
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str = setting(
        database_url,
        default="sqlite:///certindex.db",
        help="Database that the indexer writes; it is only read here.",
        example="postgresql://user:password@localhost/certindex",
    )
    host: str = setting(
        text, default="127.0.0.1", help="Address to listen on; 0.0.0.0 is every network.", example="0.0.0.0"
    )
    port: int = setting(
        whole_number(0, 65535), default="8000", help="Port to listen on; 0 is any free one.", example="8000"
    )
    max_lag_seconds: int = setting(
        whole_number(0, 10**9),
        default="300",
        help="Chain time by which the index may lie behind the head while /readyz says ready.",
        example="60",
    )
    poll_stale_seconds: int = setting(
        whole_number(1, 10**9),
        default="120",
        help="How long ago the indexer may have last asked the chain while /readyz says ready.",
        example="30",
    )
    graphiql: bool = setting(switch, default="on", help="Whether browsers find GraphiQL at /graphql.", example="off")
    introspection: bool = setting(
        switch,
        default="on",
        help="Whether clients may ask for the schema; GraphiQL needs it. /schema.graphql is served in any case.",
        example="off",
    )
    compiled: bool = setting(
        switch,
        default="on",
        help="Whether documents that come again are compiled; the answers are the same, sooner.",
        example="off",
    )
    trusted_documents: str | None = setting(
        text,
        optional=True,
        help="Manifest of the documents that alone are executed: a JSON file of ids and documents, or a folder of "
        "such; without it all are. It switches GraphiQL off.",
        example="./documents.json",
    )
    max_body_bytes: int = setting(
        whole_number(1024, 10**9), default="1000000", help="Largest body of a request.", example="1000000"
    )
    max_seconds: float = setting(
        seconds(0.1, 3600), default="10", help="Longest time for one answer; its SQL is cancelled then.", example="30"
    )
    max_cost: int = setting(
        whole_number(1, 10**9), default="10000", help="Rows that one request may promise.", example="20000"
    )
    max_depth: int = setting(
        whole_number(1, 1000), default="12", help="Levels of fields that one request may nest.", example="15"
    )
    max_aliases: int = setting(
        whole_number(0, 10**6), default="100", help="Aliases that one document may have.", example="200"
    )
    max_tokens: int = setting(
        whole_number(100, 10**6), default="10000", help="Tokens that one document may have.", example="20000"
    )
    cache_bytes: int = setting(
        whole_number(0, 10**12),
        default="64000000",
        help="Bytes of answers to keep while the database says the same; 0 keeps none.",
        example="0",
    )
    request_rate: str | None = setting(
        rate,
        optional=True,
        help="Requests that one client may send in a time, operations over WebSocket too; without it any number.",
        example="600/minute",
    )
    cost_rate: str | None = setting(
        rate,
        optional=True,
        help="Rows that the requests of one client may promise in a time, at least MAX_COST; without it any number. "
        "Answers that are kept cost nothing.",
        example="200000/minute",
    )
    trusted_proxies: str | None = setting(
        networks,
        optional=True,
        help="Addresses and networks of proxies, comma-separated, whose X-Forwarded-For tells who the client is; "
        "without it the client is who connects.",
        example="10.0.0.0/8,127.0.0.1",
    )
    max_connections: int = setting(
        whole_number(1, 10**6), default="1000", help="WebSockets and event streams at a time.", example="5000"
    )
    max_subscriptions: int = setting(
        whole_number(1, 10**6), default="50", help="Operations at a time on one WebSocket.", example="100"
    )
    send_seconds: float = setting(
        seconds(0.1, 3600),
        default="10",
        help="How long a client may take to receive one message of a subscription before it is cut off.",
        example="30",
    )
    log_format: str = log_format
    metrics_host: str = metrics_host
    metrics_port: int | None = metrics_port
