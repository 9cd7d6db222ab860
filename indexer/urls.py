"""URLs of providers, which may hold keys: how they are shown, and what identifies a provider."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

SHORTEST_KEY = 6


def shown_url(url: str) -> str:
    """Returns scheme, host and port of the URL: the rest may hold a key."""
    return _without_key(url).lower()


def shown_urls(urls: str) -> str:
    """Returns the scheme, host and port of each URL, comma-separated, also of those that are not valid."""
    return ",".join(map(_without_key, urls.split(",")))


def _without_key(url: str) -> str:
    return re.sub(r"(?is)^(\s*(?:[a-z]+://)?)(?:[^/?#]*@)?([^/?#\s]*)(.*)$", _start_of_url, url)


def _start_of_url(url: re.Match[str]) -> str:
    start, host, rest = url.groups()
    return f"{start}{host}{'/...' if rest.strip('/ ') else ''}"


def site_of(url: str) -> str:
    """Returns host and port, which identify a provider."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def without_keys(url: str, text: str) -> str:
    """Returns the text with every part of the URL that may be a key replaced by ***: providers often quote the URL."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.query]
    words += [parts.username or "", parts.password or ""]
    for word in sorted({*words, *map(unquote, words)}, key=len, reverse=True):
        if len(word) >= SHORTEST_KEY:
            text = text.replace(word, "***")
    return text
