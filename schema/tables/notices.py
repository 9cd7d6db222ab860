"""What the writer tells readers beside the tables."""

CHANNEL = "certindex"
"""What it notifies on PostgreSQL when it commits."""

STANDBY_SECONDS = 30
"""A standby that has said nothing for so long is no longer counted."""
