"""Standard output, as the reader at its other end leaves it."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def written_out(program: str) -> Iterator[None]:
    """Ends the program with status 1 where its output cannot be written: with a word of why, unless nobody reads it."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at the end
        if error.errno != errno.EPIPE:
            print(f"{program}: standard output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
