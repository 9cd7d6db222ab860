"""Comparing what is stored with what providers and contracts answer."""
