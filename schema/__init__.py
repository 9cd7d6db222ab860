"""What both programs share: facts, vocabulary, profiles, the ABI decoder, tables, the bundle format.

Read `events.py` first. This package imports neither `indexer` nor `api`.
"""
