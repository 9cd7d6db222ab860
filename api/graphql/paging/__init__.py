"""Connections, cursors, ids."""
