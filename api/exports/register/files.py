"""Writing a folder of files that appears only when all of it is written."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from api.exports.formats import FileWriter
from api.exports.register.manifest import WrittenFile


class FolderError(Exception):
    """The folder of an export cannot be written; the message says why."""


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Gives a folder beside the target, which takes the target's name at the end of the block.

    If the block raises, the folder is removed. Raises FolderError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FolderError(f"{target} exists and is not an empty folder: name a new one.")
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.absolute().parent))
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        yield folder
        folder.chmod(0o755)
        folder.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> FolderError:
    return FolderError(f"{target} cannot be written: {error.strerror}. Nothing is left of the export.")


class OutputFile:
    """A file of rows, summed while it is written."""

    def __init__(self, folder: Path, name: str, writer: FileWriter) -> None:
        self._name = name
        self._writer = writer
        self._rows = 0
        self._bytes = 0
        self._digest = hashlib.sha256()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        self._file = (folder / name).open("xb")
        self._put(writer.begin())

    def write(self, texts: Sequence[str]) -> None:
        """Writes rows."""
        self._put(self._writer.write(texts))
        self._rows += len(texts)

    def close(self) -> None:
        """Closes the file, whole or not."""
        self._file.close()

    def end(self, table: str, chain: int, month: str) -> WrittenFile:
        """Writes the end of the file, and makes sure that the disk has it."""
        self._put(self._writer.end())
        self._file.flush()
        os.fsync(self._file.fileno())
        return WrittenFile(self._name, table, chain, month, self._rows, self._bytes, self._digest.hexdigest())

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._bytes += len(content)
