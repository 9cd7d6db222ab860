"""What the writer tells readers beside the tables."""

CHANNEL = "certindex"
"""What it notifies on PostgreSQL when it commits."""
