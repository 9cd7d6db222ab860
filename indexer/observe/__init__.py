"""Observability: status, metrics, progress, startup failures."""
