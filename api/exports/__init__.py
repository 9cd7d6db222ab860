"""Exports: whole lists as files, streamed at one block."""
