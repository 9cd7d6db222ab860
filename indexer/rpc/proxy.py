"""The proxy of a URL, from the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, and NO_PROXY for what has none."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from indexer.errors import Stop
from indexer.urls import shown_url

SCHEMES = ("http", "https")
PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def proxy_of(url: str, proxies: Mapping[str, str] | None = None) -> str | None:
    """Returns the URL of the proxy, None for a direct connection. Raises Stop for a proxy that is not supported.

    `proxies` are those of the environment: by scheme, `all`, and `no`. WebSockets have the proxies of HTTP.
    """
    proxies = getproxies_environment() if proxies is None else proxies
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    proxy = proxies.get(scheme) or proxies.get("all")
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if not proxy or any(_matches(entry, host, port) for entry in proxies.get("no", "").replace(",", " ").split()):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        valid = urlsplit(proxy).scheme in SCHEMES and urlsplit(proxy).hostname and urlsplit(proxy).port != 0
    except ValueError:
        valid = False
    if not valid:
        names = f"{scheme.upper()}_PROXY or ALL_PROXY"
        raise Stop(
            f"{names} is {shown_url(proxy)}, which is no http:// or https:// URL of a proxy. Correct it, or name "
            f"{host} in NO_PROXY."
        )
    return proxy


def _matches(entry: str, host: str, port: int) -> bool:
    """Returns whether an entry of NO_PROXY is *, the host, a domain of it or its network, with its port or without."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d+)", entry)
    if match is not None and int(match[2]) != port:
        return False
    name = (entry if match is None else match[1]).strip("[]").removeprefix("*").lstrip(".").lower()
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return name == "" or host == name or host.endswith(f".{name}")
