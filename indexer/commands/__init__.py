"""The commands of `certindex`, one file each: its options, what it does, what it prints.

A command's module has `COMMAND`, its declaration, and is listed in `indexer/__main__.py`. What the command needs to do
its work is imported where the work begins, so that `--help` and usage errors appear at once.
"""
