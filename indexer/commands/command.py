"""What the commands have in common: their declaration, the start with their settings, and the tuning of the process."""

import argparse
import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from indexer.settings import DatabaseSettings
from indexer.urls import secrets_of, without_keys
from schema.program.settings import add_options, read_settings, without_password

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `ArgumentParser.add_subparsers` returns."""

M_ARENA_MAX = -8
"""The parameter of glibc's `mallopt` that limits its heaps."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command. Its options are those of `add_arguments`, and one for each setting.

    `execute` takes the settings and the parsed options, and returns the exit status.
    """

    name: str
    settings: type[DatabaseSettings] | None
    execute: Callable[[Any, argparse.Namespace], int | Coroutine[Any, Any, int]]
    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], object] = lambda parser: None

    def add_to(self, commands: Commands) -> None:
        """Declares the command and its options."""
        parser = commands.add_parser(self.name, help=self.help, description=self.description)
        self.add_arguments(parser)
        if self.settings is not None:
            add_options(parser, self.settings)
        parser.set_defaults(execute=self._run)

    def _run(self, options: argparse.Namespace) -> int:
        settings = None if self.settings is None else _start(self.settings, options)
        result = self.execute(settings, options)
        return result if isinstance(result, int) else asyncio.run(result)


def _start(kind: type[DatabaseSettings], options: argparse.Namespace) -> DatabaseSettings:
    """Returns the settings of a command and configures the log, which hides their keys and passwords."""
    from schema.program.logs import configure

    settings = read_settings(kind, options, os.environ)
    urls = [*(getattr(settings, "rpc_urls", None) or ()), *filter(None, [getattr(settings, "ws_url", None)])]
    secrets = secrets_of(None, [(name, value) for _, name, value in getattr(settings, "rpc_headers", ())])

    def hide(text: str) -> str:
        for url in urls:
            text = without_keys(url, text, secrets)
        return without_password(text)

    configure(settings.log_format, hide)
    return settings


def tune_memory() -> None:
    """Lets the garbage collector run rarely, and glibc keep one heap."""
    import ctypes

    # imports leave no garbage, rows live for one step and have no cycles: a collection would only scan them
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)  # glibc keeps a heap for each thread and returns none of them
