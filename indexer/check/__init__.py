"""The offline check of an audit bundle, for readers who do not trust its maker.

It needs no database and no network. `certindex check bundle.json`, or `python -m indexer.check bundle.json`; the format
is in docs/reference/bundle.md. Read `bundle.py` first.
"""
