"""`certindex run`: follows the chain until it is stopped."""

import asyncio
import signal
from importlib.metadata import entry_points
from typing import Any

from indexer.commands.command import Command, tune_memory
from indexer.errors import Stop
from indexer.settings import Settings

SERVER_ENTRY_POINT = "certindex.server"
"""The entry point by which the API package offers its server; the indexer imports nothing of the API."""


COMMAND = Command(
    "run",
    Settings,
    lambda settings, options: run(settings, serve=options.serve),
    help="follow the chain until stopped",
    description="Follows the chain until it is stopped.",
    add_arguments=lambda parser: parser.add_argument(
        "--serve", action="store_true", help="also serve GraphQL, in the same process"
    ),
)


async def run(settings: Settings, *, serve: bool) -> int:
    """Follows the chain until SIGINT or SIGTERM. With `serve`, the same process serves GraphQL from the start."""
    from indexer.follower import follow

    tune_memory()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if not serve:
        await follow(settings, stopping)
        return 0
    server = _server(settings)
    following = asyncio.create_task(follow(settings, stopping, [server.metrics]))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({following, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()  # the end of one ends the other
    server.should_exit = True
    await asyncio.wait({following, serving})
    following.result()
    serving.result()
    return 0


def _server(settings: Settings) -> Any:
    """Returns the server of the installed API package."""
    servers = list(entry_points(group=SERVER_ENTRY_POINT))
    if not servers:
        raise Stop("--serve: the GraphQL service is not installed. Install the whole package: pip install -e .")
    return servers[0].load()(settings.database_url, settings.host, settings.port)
