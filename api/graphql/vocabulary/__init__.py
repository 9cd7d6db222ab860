"""Scalars and enums."""
