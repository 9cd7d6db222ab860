"""Standard output that cannot be written: the reader closed it, or the disk is full."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def written_out(program: str) -> Iterator[None]:
    """Ends the program with status 1 if standard output cannot be written; prints why unless the reader closed it."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        # so that the interpreter does not write the rest at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            print(f"{program}: standard output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
