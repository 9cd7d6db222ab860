"""What every command does first: read its settings, configure the log, and tune the process."""

import argparse
import gc
import os
from typing import TypeVar

from indexer.settings import DatabaseSettings
from schema.program.settings import read_settings, without_password

SettingsT = TypeVar("SettingsT", bound=DatabaseSettings)

M_ARENA_MAX = -8
"""The parameter of glibc's `mallopt` that limits its heaps."""


def start(kind: type[SettingsT], options: argparse.Namespace) -> SettingsT:
    """Returns the settings of a command and configures the log, which hides their keys and passwords."""
    from indexer.rpc.errors import without_keys
    from schema.program.logs import configure

    settings = read_settings(kind, options, os.environ)
    urls = [*(getattr(settings, "rpc_urls", None) or ()), *filter(None, [getattr(settings, "ws_url", None)])]

    def hide(text: str) -> str:
        for url in urls:
            text = without_keys(url, text)
        return without_password(text)

    configure(settings.log_format, hide)
    return settings


def tune_memory() -> None:
    """Lets the garbage collector run rarely, and glibc keep one heap."""
    import ctypes

    # rows live for one step and have no cycles: a collection would only scan them again
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)  # glibc keeps a heap for each thread and returns none of them
