"""The settings of `certindex deliver`, from its options and the environment."""

from dataclasses import dataclass

from api.settings import networks
from schema.program.settings import database_url as database
from schema.program.settings import (
    indexed_database,
    log_format,
    metrics_host,
    metrics_port,
    setting,
    shown_database,
    text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    database_url: str = indexed_database
    subscriptions: str = setting(
        text,
        default="subscriptions.toml",
        help="TOML file of the subscriptions: who receives which events, and the secrets that sign them.",
        example="/etc/certindex/subscriptions.toml",
    )
    delivery_state: str | None = setting(
        database,
        optional=True,
        help="Database for the positions and attempts of the subscriptions: a SQLite file of its own, or PostgreSQL, "
        "where it is the schema certindex_delivery. If not set, a file beside the SQLite index, or the database of "
        "the index on PostgreSQL.",
        example="sqlite:////var/lib/certindex/delivery.db",
        shown=shown_database,
    )
    allow_networks: str | None = setting(
        networks,
        optional=True,
        help="Networks, comma-separated, that webhooks may reach although they are not public. By default every "
        "private, local and reserved address is refused.",
        example="10.1.0.0/16,127.0.0.1/32",
    )
    log_format: str = log_format
    metrics_host: str = metrics_host
    metrics_port: int | None = metrics_port
