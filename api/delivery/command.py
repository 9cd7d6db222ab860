"""The command line: `certindex deliver`. `certindex` finds it by the entry point `certindex.commands`."""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from api.delivery.settings import DeliverySettings
from schema.program.settings import add_options, read_settings

NAME = "deliver"
HELP = "send events to webhooks, NATS and Redis"
EPILOG = (
    "Without a command it delivers until it is stopped. Example: certindex deliver --subscriptions subscriptions.toml"
)

Execute = Callable[[DeliverySettings, argparse.Namespace], int | Coroutine[Any, Any, int]]
Commands = Any
"""What `ArgumentParser.add_subparsers` returns."""


def add_to(commands: Commands) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        NAME,
        help=HELP,
        description="Sends the events of the change feed to the receivers of a file, in order and at least once.",
        epilog=EPILOG,
    )
    add_options(parser, DeliverySettings)
    _execute_by(parser, _deliver)
    inner = parser.add_subparsers(title="commands", metavar="COMMAND")
    status = _add(inner, "status", _status, "print how far each subscription is delivered, and what fails")
    status.add_argument("--json", action="store_true", default=False, help="print JSON")
    replay = _add(inner, "replay", _replay, "send events again: all after a cursor")
    replay.add_argument("name", metavar="NAME", help="the subscription")
    replay.add_argument(
        "--from",
        dest="cursor",
        required=True,
        metavar="CURSOR",
        help="cursor of a message (data.cursor), or beginning, or now",
    )
    resume = _add(inner, "resume", _resume, "start a stopped subscription again, and make the next attempt now")
    resume.add_argument("name", metavar="NAME", help="the subscription")
    forget = _add(inner, "forget", _forget, "delete the position of a subscription that was removed from the file")
    forget.add_argument("name", metavar="NAME", help="the subscription")
    test = _add(inner, "test", _test, "send a test message, and print what the receiver answers")
    test.add_argument("target", metavar="URL", help="URL of a receiver, or name of a subscription")
    test.add_argument("--secret", default=None, metavar="SECRET", help="secret that signs it; default: a new one")
    secret = _add(inner, "secret", _secret, "print a new secret", with_settings=False)
    secret.add_argument(
        "--ed25519", action="store_true", default=False, help="print an Ed25519 key pair instead of a shared secret"
    )


def _add(commands: Commands, name: str, execute: Execute, help: str, *, with_settings: bool = True) -> Any:
    """Declares a command of the command; an option that it leaves out keeps the value that stands before its name."""
    description = f"{help[0].upper()}{help[1:]}."
    parser = commands.add_parser(name, help=help, description=description, argument_default=argparse.SUPPRESS)
    if with_settings:
        add_options(parser, DeliverySettings)
    _execute_by(parser, execute)
    return parser


def _execute_by(parser: argparse.ArgumentParser, execute: Execute) -> None:
    def run(options: argparse.Namespace) -> int:
        from schema.program.logs import configure

        settings = read_settings(DeliverySettings, options, os.environ)
        configure(settings.log_format)
        result = execute(settings, options)
        return result if isinstance(result, int) else asyncio.run(result)

    parser.set_defaults(execute=run)


async def _deliver(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.sender import deliver

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await deliver(settings, stopping)
    return 0


def _status(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import print_status

    return print_status(settings, as_json=options.json)


async def _replay(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import replay

    return await replay(settings, options.name, options.cursor)


def _resume(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import resume

    return resume(settings, options.name)


def _forget(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import forget

    return forget(settings, options.name)


async def _test(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import test

    return await test(settings, options.target, options.secret)


def _secret(settings: DeliverySettings, options: argparse.Namespace) -> int:
    from api.delivery.operating import print_secret

    return print_secret(ed25519=options.ed25519)
