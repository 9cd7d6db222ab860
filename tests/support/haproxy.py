"""HAProxy before servers of the API, as docs/guides/operator.md configures it."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from scripts.documentation.tables import REPOSITORY
from scripts.processes import Child
from tests.support.processes import free_ports, until


@contextmanager
def balancer(ports: Sequence[int]) -> Iterator[str]:
    """Yields the address of a proxy before servers on these ports. Its statistics are at /stats."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise RuntimeError("no HAProxy on PATH: apt-get install haproxy")
    [port] = free_ports(1)
    with TemporaryDirectory(prefix="certindex-haproxy-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(_documented(port, ports))
        child = Child([program, "-db", "-f", file])
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _answers(address), "HAProxy", child)
            yield address
        finally:
            child.stop()


def _documented(port: int, ports: Sequence[int]) -> str:
    """Returns the configuration of the operator's guide, for these ports."""
    page = (REPOSITORY / "docs/guides/operator.md").read_text()
    [text] = re.findall(r"```haproxy\n(.*?)```", page, re.DOTALL)
    servers = iter(ports)
    text = re.sub(r"10\.0\.0\.\d+:8000", lambda _: f"127.0.0.1:{next(servers)}", text)
    text = text.replace("timeout check 5s", "timeout check 60s")  # a busy server is not down
    return text.replace("bind :80", f"bind 127.0.0.1:{port}\n  stats enable\n  stats uri /stats")


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
