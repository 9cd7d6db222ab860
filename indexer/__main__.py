"""The command line: `certindex run`, `sync`, `status`, `rebuild`, `rollback`, and the commands that prove."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from indexer.check import __main__ as offline
from indexer.settings import DatabaseSettings, NodeSettings, ProveSettings, RebuildSettings, Settings, VerifySettings
from schema.program.output import written_out
from schema.program.settings import add_options, read_settings, without_password

SettingsT = TypeVar("SettingsT", bound=DatabaseSettings)

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 failed, 2 a setting is missing or wrong."""
    options = _parser().parse_args(arguments)
    with written_out("certindex"):
        status = offline.run(options) if options.command == "check" else _run_online(options)
    sys.exit(status)


def _run_online(options: argparse.Namespace) -> int:
    # what reads databases and networks is imported only now: the check must do without
    from sqlalchemy.exc import DBAPIError

    from indexer.errors import Stop, TryAgain
    from schema.profile.model import ProfileError
    from schema.program.settings import SettingsError
    from schema.tables.database import DatabaseError

    try:
        return _run(options)
    except (SettingsError, ProfileError) as error:
        return _failed(str(error), USAGE_ERROR)
    except (Stop, TryAgain, DatabaseError) as error:
        return _failed(str(error), 1)
    except DBAPIError as error:
        return _failed(f"the database failed: {without_password(str(error.orig))}", 1)
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from indexer.commands import common, reconcile
    from indexer.commands import node as proofs

    match options.command:
        case "run":
            return asyncio.run(common.run(_read(Settings, options), serve=options.serve))
        case "sync":
            return asyncio.run(common.sync(_read(Settings, options)))
        case "status":
            return common.status(_read(DatabaseSettings, options), as_json=options.json)
        case "rebuild":
            return asyncio.run(common.rebuild(_read(RebuildSettings, options)))
        case "reconcile":
            node = _read(NodeSettings, options)
            done = reconcile.complete(node) if options.complete else reconcile.reconcile(node, sample=options.sample)
            return asyncio.run(done)
        case "verify":
            settings = _read(VerifySettings, options)
            return asyncio.run(proofs.verify(settings, options.first, options.last))
        case "prove":
            wanted = _read(ProveSettings, options)
            return asyncio.run(proofs.prove(wanted, options.device, options.out))
        case "attest":
            node = _read(NodeSettings, options)
            given = options.hashes[-1] if options.hashes else None
            return asyncio.run(proofs.attest(node, options.first, options.last, given, options.out))
        case "digest":
            database = _read(DatabaseSettings, options)
            return proofs.digest(database, options.last, recompute=not options.stored)
        case _:
            return asyncio.run(common.rollback(_read(DatabaseSettings, options), options.to))


def _read(kind: type[SettingsT], options: argparse.Namespace) -> SettingsT:
    """Returns the settings of a command, and lets it log as they say, without what they keep secret."""
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="certindex", description="Follows an EVM chain and keeps the tables that answer questions about devices."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('certindex')}")
    found = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = found.add_parser("run", help="follow the chain for ever", description="Follows the chain for ever.")
    run.add_argument("--serve", action="store_true", help="answer GraphQL in the same process")
    add_options(run, Settings)
    sync = found.add_parser(
        "sync", help="catch up to the present head and exit", description="Catches up to the present head and exits."
    )
    add_options(sync, Settings)
    status = found.add_parser(
        "status", help="tell how far each chain is indexed", description="Tells how far each chain is indexed."
    )
    status.add_argument("--json", action="store_true", help="as JSON")
    add_options(status, DatabaseSettings)
    rebuild = found.add_parser(
        "rebuild",
        help="rewrite all derived rows from the stored events",
        description="Rewrites all derived rows from the stored events, without the network, in one transaction.",
    )
    add_options(rebuild, RebuildSettings)
    rollback = found.add_parser(
        "rollback", help="take back everything above a block", description="Takes back everything above a block."
    )
    rollback.add_argument("--to", type=_block, required=True, metavar="BLOCK", help="the last block to keep")
    add_options(rollback, DatabaseSettings)
    reconcile = found.add_parser(
        "reconcile",
        help="compare what is indexed with what the contracts answer",
        description="Compares owner, address, manufacturer and claim of devices with what the contracts answer at the "
        "indexed block.",
    )
    how = reconcile.add_mutually_exclusive_group()
    how.add_argument("--sample", type=_count, metavar="N", help="compare N devices, chosen at random; else all")
    how.add_argument(
        "--complete", action="store_true", help="ask for what old events leave out, store it, fold all events again"
    )
    add_options(reconcile, NodeSettings)
    verify = found.add_parser(
        "verify",
        help="rebuild the receipts of blocks with events now",
        description="Rebuilds receipts root, bloom and header hash of blocks with events, and finds the logs there.",
    )
    verify.add_argument("--from", dest="first", type=_block, metavar="BLOCK", help="first block; without it: the first")
    verify.add_argument("--to", dest="last", type=_block, metavar="BLOCK", help="last block; without it: the final one")
    add_options(verify, VerifySettings)
    prove = found.add_parser(
        "prove",
        help="write the audit bundle of a device",
        description="Writes the audit bundle of a device: events, proofs, state. Proves first what is not proven yet.",
    )
    prove.add_argument("device", metavar="DEVICE", help="its token id, or its DID")
    prove.add_argument("-o", dest="out", type=Path, metavar="FILE", help="the file; without it: standard output")
    add_options(prove, ProveSettings)
    check = found.add_parser(
        "check",
        help="check an audit bundle, without database or network",
        description="Checks an audit bundle: no database, no network unless --rpc-url is given.",
    )
    offline.add_arguments(check)
    attest = found.add_parser(
        "attest",
        help="attest that the stored events of a range are all there are",
        description="Attests that the stored events of a range of blocks are all that the watched contracts emitted.",
    )
    attest.add_argument("--from", dest="first", type=_block, metavar="BLOCK", help="first block; without it: the first")
    attest.add_argument("--to", dest="last", type=_block, metavar="BLOCK", help="last block; without it: the final one")
    attest.add_argument("-o", dest="out", type=Path, metavar="FILE", help="the file; without it: standard output")
    offline.add_block_hash(attest, "the hash of the last block, or of one after it, from a source that you trust")
    add_options(attest, NodeSettings)
    digest = found.add_parser(
        "digest",
        help="tell the digest of all events, to compare two deployments",
        description="Tells the digest of all stored events, recomputed from them. Equal digests are equal events.",
    )
    digest.add_argument("--to", dest="last", type=_block, metavar="BLOCK", help="as of a block; without it: as indexed")
    digest.add_argument("--stored", action="store_true", help="as it is stored, without recomputing it")
    add_options(digest, DatabaseSettings)
    return parser


def _block(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 14):
        raise argparse.ArgumentTypeError(f'"{value}" is no block number. Example: --to 35000000')
    return int(value)


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:10]) > 0 and len(value) < 10):
        raise argparse.ArgumentTypeError(f'"{value}" is no number of devices. Example: --sample 100')
    return int(value)


def _failed(message: str, exit_status: int) -> int:
    from schema.program.logs import is_json, tell

    if is_json():
        tell(logging.getLogger("certindex"), logging.CRITICAL, "failed", error=message, exit_status=exit_status)
    else:
        print(f"certindex: {message}", file=sys.stderr)
    return exit_status


if __name__ == "__main__":
    main()
