"""What the indexer and the API agree on beside the tables."""

CHANNEL = "certindex"
"""The PostgreSQL channel that the indexer notifies when it commits."""

STANDBY_SECONDS = 30
"""Seconds without a heartbeat after which a standby is no longer counted."""
