"""A folder in memory for the databases of the tests."""

import os
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
NEEDED_BYTES = 8 * 2**30
"""The databases of a million events take about 2 GB. The rest is for the tests themselves."""


def folder_in_memory() -> Path | None:
    """Returns a folder in memory, if there is one with enough space in which programs may be executed.

    SQLite waits for the disk at each commit, some milliseconds, and no test depends on durability.
    """
    try:
        system = os.statvfs(IN_MEMORY)
        memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:
        return None
    available = min(system.f_bavail * system.f_frsize, 1024 * int(memory["MemAvailable"].split()[0]))
    return IN_MEMORY if available >= NEEDED_BYTES and not system.f_flag & os.ST_NOEXEC else None
