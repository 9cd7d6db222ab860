"""`certindex-api export`: writes the whole register as files, or verifies such files.

The command belongs to the program that reads: `certindex` writes the database, and imports nothing of the API, whose
queries make the rows.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from api.exports.formats import FORMATS
from api.exports.parquet import ParquetMissing
from api.exports.register.export import Register
from api.exports.register.files import FolderError
from api.exports.register.manifest import ManifestError, differences
from api.exports.table import build_tables
from api.graphql.errors import Refusal
from api.graphql.schema import build_schema
from api.http.as_of import as_of_variable
from schema.program.output import written_out
from schema.program.settings import (
    SettingsError,
    add_options,
    indexed_database,
    read_settings,
    without_password,
)
from schema.tables.database import DatabaseError, check_supported, connect, unusable

PROGRAM = "certindex-api export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    database_url: str = indexed_database


def run_export(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 done, 1 failed or a file differs, 2 a wrong argument."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with written_out(PROGRAM):
        try:
            if options.verify:
                return _verify(options.folder)
            return _export(options, read_settings(ExportSettings, options, os.environ))
        except (SettingsError, Refusal) as error:
            return _failed(str(error), 2)
        except (ManifestError, FolderError, ParquetMissing, DatabaseError) as error:
            return _failed(str(error), 1)
        except DBAPIError as error:
            return _failed(without_password(" ".join(str(error.orig).split())), 1)
        except KeyboardInterrupt:
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Write all tables of the register at one block as files, by chain and month, with a manifest.",
        epilog="Example: certindex-api export register --format csv --as-of 2025-01-01T00:00:00Z",
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder to write, new or empty; with --verify, to read"
    )
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="parquet", help="format of the files (default parquet)"
    )
    parser.add_argument(
        "--as-of", metavar="B", help="a date, a time, a block number or a block hash; default: the newest indexed block"
    )
    parser.add_argument(
        "--since",
        type=Path,
        metavar="MANIFEST",
        help="manifest.json of an earlier export: write only what came after, and list the events that a reorg removed",
    )
    parser.add_argument("--verify", action="store_true", help="compare the files of DIR with its manifest, offline")
    add_options(parser, ExportSettings)
    return parser


def _export(options: argparse.Namespace, settings: ExportSettings) -> int:
    engine = connect(settings.database_url, read_only=True)
    try:
        check_supported(engine)
        register = Register(engine, build_tables(build_schema()))
        as_of = as_of_variable(options.as_of, "--as-of") if options.as_of else None
        manifest = register.export(options.folder, options.format, as_of, options.since)
    except DBAPIError as error:
        raise unusable(engine, error) from error
    finally:
        engine.dispose()
    blocks = ", ".join(f"chain={block.chain} block={block.block} hash={block.hash}" for block in manifest.blocks)
    rows = sum(file.rows for file in manifest.files)
    print(f"{options.folder}: {rows:,} rows in {len(manifest.files)} files at {blocks}")
    if manifest.retractions:
        print(f"{options.folder}: {len(manifest.retractions):,} events of the earlier export were removed by a reorg")
    return 0


def _verify(folder: Path) -> int:
    count = 0
    for difference in differences(folder):
        count += 1
        print(f"FAIL {difference}")
    if not count:
        print(f"{folder}: every file is as the manifest says")
    return 1 if count else 0


def _failed(message: str, status: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return status
