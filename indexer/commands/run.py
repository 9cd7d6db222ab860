"""`certindex run`: follows the chain until it is stopped."""

import argparse
import asyncio
import signal
from importlib.metadata import entry_points
from typing import Any

from indexer.commands.command import Command, tune_memory
from indexer.errors import Stop
from indexer.settings import Settings
from schema.program.tracing import configure_tracing

SERVER_ENTRY_POINT = "certindex.server"
"""The entry point by which the API package offers its server; the indexer imports nothing of the API."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--serve", action="store_true", help="also serve GraphQL, in the same process")
    parser.add_argument(
        "--workers", metavar="N", help="with --serve: serve from N processes beside this one (default: WORKERS, or 1)"
    )


COMMAND = Command(
    "run",
    Settings,
    lambda settings, options: run(settings, serve=options.serve, workers=options.workers),
    help="follow the chain until stopped",
    description="Follows the chain until it is stopped.",
    add_arguments=_add_arguments,
)


async def run(settings: Settings, *, serve: bool, workers: str | None = None) -> int:
    """Follows the chain until SIGINT or SIGTERM. With `serve`, also serves GraphQL from the start.

    One worker is this process; several are processes of their own.
    """
    from indexer.follower import follow

    if workers is not None and not serve:
        raise Stop("--workers is for --serve: add --serve, or leave --workers out.")
    configure_tracing("certindex")
    tune_memory()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if not serve:
        await follow(settings, stopping)
        return 0
    server = _server(settings, workers)
    following = asyncio.create_task(follow(settings, stopping, [server.metrics]))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({following, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()  # the end of one ends the other
    server.stop()
    await asyncio.wait({following, serving})
    following.result()
    serving.result()
    return 0


def _server(settings: Settings, workers: str | None) -> Any:
    """Returns the server of the installed API package."""
    servers = list(entry_points(group=SERVER_ENTRY_POINT))
    if not servers:
        raise Stop("--serve: the GraphQL service is not installed. Install the whole package: pip install -e .")
    return servers[0].load()(settings.database_url, settings.database_pooler, settings.host, settings.port, workers)
