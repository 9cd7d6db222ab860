"""The manifest of an exported register: its blocks, its files with their sums, and the export that it continues."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from api.exports.register.rows import row_count

NAME = "manifest.json"
VERSION = 1
PIECE_BYTES = 1 << 20


class ManifestError(Exception):
    """A manifest cannot be used; the message says why."""


class Block(msgspec.Struct, frozen=True, omit_defaults=True):
    """A block that tables are read at. `time` is in unix seconds, `digest` that of all events up to the block."""

    chain: int
    block: int
    hash: str
    time: int
    digest: str | None = None


class WrittenFile(msgspec.Struct, frozen=True):
    """A file of one table, chain and month. `path` is relative to the manifest."""

    path: str
    table: str
    chain: int
    month: str
    rows: int
    bytes: int
    sha256: str


class Retraction(msgspec.Struct, frozen=True):
    """An event of an earlier export that a reorg removed: its key, and the hash of its block."""

    chain: int
    key: str
    block_hash: str


class Replaced(msgspec.Struct, frozen=True):
    """A table that is here as a whole: its rows take the place of those of all earlier exports."""

    table: str
    chain: int


class Since(msgspec.Struct, frozen=True):
    """The export that this one continues: its blocks, and the SHA-256 of its manifest."""

    sha256: str
    blocks: list[Block]


class Manifest(msgspec.Struct, frozen=True):
    version: int
    format: str
    blocks: list[Block]
    files: list[WrittenFile]
    since: Since | None = None
    replaced: list[Replaced] = []
    retractions: list[Retraction] = []

    def encode(self) -> bytes:
        """Returns the text of the manifest."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Returns a manifest and the SHA-256 of its file. Raises ManifestError."""
    try:
        content = path.read_bytes()
        manifest = msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is no manifest of an export: {error}.") from None
    if manifest.version != VERSION:
        raise ManifestError(f"{path} has version {manifest.version}; this release reads version {VERSION}.")
    return manifest, hashlib.sha256(content).hexdigest()


def differences(folder: Path) -> Iterator[str]:
    """Yields what differs between the files of an export and its manifest. Raises ManifestError."""
    manifest, _ = read_manifest(folder / NAME)
    for file in manifest.files:
        difference = _difference(folder, file, manifest.format)
        if difference:
            yield f"{file.path}: {difference}"
    named = {NAME, *(file.path for file in manifest.files)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in named:
            yield f"{name}: the manifest does not name it"


def _difference(folder: Path, file: WrittenFile, format: str) -> str | None:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts:
        return "the path leads out of the folder"
    try:
        size, digest = _sums(folder / path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if (size, digest) != (file.bytes, file.sha256):
        return f"it has {size} bytes with SHA-256 {digest}, the manifest has {file.bytes} with {file.sha256}"
    rows = row_count(folder / path, format)
    return None if rows == file.rows else f"it has {rows} rows, the manifest has {file.rows}"


def _sums(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while piece := content.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
