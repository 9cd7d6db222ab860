"""Measures the explorer: every page, one request at a time, warm and without the cache."""

import statistics
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

import httpx
import msgspec

from api.explorer.pages import PAGES
from scripts.benchmark.serving import Api, api
from tests.support.api.pages import get_page
from tests.support.api.server import CLIENT, post
from tests.support.api.tour import WITHOUT_A_ROW, tour

SETTINGS = {"CACHE_BYTES": "0", "MAX_SECONDS": "120"}

WARM = 2
"""Requests of each page before it is measured: the second one makes the plan of its document."""

FEWEST = 5
"""Requests of each page that are measured, however long they take."""

PICKED = """{
  owner: deviceStatistics(groupBy: [OWNER]) { keys { value } }
  model: deviceStatistics(groupBy: [HARDWARE_LICENSE]) { keys { value } }
  maker: deviceStatistics(groupBy: [MANUFACTURER]) { keys { value } }
  _meta { chains { indexed { number } } }
}"""
"""What the most devices have in common, and the head."""

HEAVIEST = {
    "/ as of half the chain": "/?asOf={half}",
    "/audit as of half the chain": "/audit?asOf={half}",
    "/devices by serial number": "/devices?order=serial",
    "/devices that are recycled": "/devices?state=RECYCLED",
    "/devices that share an IMEI": "/devices?fails=imeiUnique",
    "/devices that share a serial number": "/devices?fails=serialUniqueForManufacturer",
    "/devices with a wrong IMEI": "/devices?fails=imeiValid",
    "/events of one kind": "/events?kind=DEVICE_MINTED",
    "/owner of the most devices": "/owner/{owner}",
    "/user of the same account": "/user/{owner}",
    "/manufacturer of the most devices": "/manufacturer/{maker}",
    "/model of the most devices": "/model/{model}",
    "/search for part of a name": "/search?q=Tracker",
}
"""Addresses that read the most, by what they are."""


class Explored(msgspec.Struct):
    """A page: the median `seconds` of a request, and the mean of their `cpu`: the clock of a process ticks every 10 ms.

    `bytes` are those of the page with its files, as a browser receives them; `most_seconds` is what it may take.
    """

    database: str
    devices: int
    page: str
    cpu: float
    seconds: float
    bytes: int
    most_seconds: float


def explored(database_url: str, kind: str, devices: int, most_seconds: float, seconds: float) -> Iterator[Explored]:
    """Measures each page for so many seconds."""
    with api(database_url, SETTINGS) as running:
        site = running.url.removesuffix("/graphql")
        for page, path in addresses(site).items():
            cpu, took = _measured(running, f"{site}{path}", seconds)
            yield Explored(kind, devices, page, cpu, took, _transferred(site, path), most_seconds)


def addresses(site: str) -> Mapping[str, str]:
    """Returns the addresses that are measured, by what they are: one of each page, and those that read the most."""
    paths = [page.path for page in PAGES if page.path not in WITHOUT_A_ROW]
    picked = post(f"{site}/graphql", {"query": PICKED}).json()["data"]
    keys = {name: picked[name][0]["keys"][0]["value"] for name in ("owner", "model", "maker")}
    keys["half"] = int(picked["_meta"]["chains"][0]["indexed"]["number"]) // 2
    return dict(zip(paths, tour(site), strict=True)) | {page: path.format(**keys) for page, path in HEAVIEST.items()}


def _measured(running: Api, url: str, seconds: float) -> tuple[float, float]:
    """Returns the CPU and the time of one request. Raises HTTPStatusError."""
    for _ in range(WARM):
        _get(url)
    took: list[float] = []
    before, began = running.cpu_seconds(), time.perf_counter()
    while len(took) < FEWEST or time.perf_counter() - began < seconds:
        took.append(_get(url).elapsed.total_seconds())
    return (running.cpu_seconds() - before) / len(took), statistics.median(took)


def _transferred(site: str, path: str) -> int:
    files = [urljoin(f"{site}{path}", file) for file in dict.fromkeys(get_page(f"{site}{path}").files)]
    return sum(_get(url).num_bytes_downloaded for url in (f"{site}{path}", *files))


def _get(url: str) -> httpx.Response:
    return CLIENT.get(url, headers={"accept": "text/html"}).raise_for_status()
