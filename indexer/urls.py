"""URLs of providers, which may hold keys and passwords: how they are shown, and what identifies a provider."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SHORTEST_KEY = 6
"""Shorter parts of a path or a query are no keys."""
AUTH_SCHEMES = ("basic", "bearer", "token", "apikey")
"""Words in headers that are no keys."""
NEXT_URL = re.compile(r",(?=\s*[a-z][a-z0-9+.-]*://)", re.IGNORECASE)


def check_url(url: str, *schemes: str) -> None:
    """Raises ValueError if the URL is not one of these schemes with a host, or if its password is not clear."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # its message may quote a part of a password
        valid = False
    if not valid or re.search(r"[/?#].*@", url.partition("://")[2], re.DOTALL) or re.search(r"\s", url):
        raise ValueError(
            f"no {' or '.join(f'{scheme}://' for scheme in schemes)} URL with a host. In a user or password, write "
            "%2F for /, %3F for ?, %23 for # and %2C for a comma, in a path %40 for @"
        )


def shown_url(url: str) -> str:
    """Returns scheme, host and port of the URL: the rest may hold a key."""
    return _without_key(url).lower()


def shown_urls(urls: str) -> str:
    """Returns the scheme, host and port of each URL, comma-separated, also of those that are not valid."""
    return ",".join(map(_without_key, NEXT_URL.split(urls)))


def shown_location(location: str) -> str:
    """Returns where a redirect leads: without user, password and query, which may hold a key."""
    scheme, separator, rest = location.partition("://") if "://" in location else ("", "", location)
    address, query, _ = rest.partition("?")
    host, slash, path = address.rpartition("@")[2].partition("/")
    return f"{scheme}{separator}{host}{slash}{path}{'?...' if query else ''}"


def _without_key(url: str) -> str:
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    match = re.match(r"([^/?#]*)(.*)", rest, re.DOTALL)
    assert match is not None
    authority, path = match.groups()
    if "@" in path:  # a password with / ? or #, or a key with @: where the host begins is not clear
        return f"{scheme}{separator}..."
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{'/...' if path.strip('/ ') else ''}"


def site_of(url: str) -> str:
    """Returns host and port, which identify a provider."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def without_keys(url: str, text: str, secrets: Iterable[str] = ()) -> str:
    """Returns the text with every part of the URL that may be a key, and `secrets`, replaced by ***.

    Providers often quote the URL, and what was sent to them.
    """
    words = {*keys_of(url), *secrets}
    for word in sorted({*words, *map(unquote, words), *map(quote, words)} - {""}, key=len, reverse=True):
        # a short password may be a part of other words
        pattern = re.escape(word) if len(word) >= SHORTEST_KEY else rf"(?<!\w){re.escape(word)}(?!\w)"
        text = re.sub(pattern, "***", text)
    return text


Headers = Sequence[tuple[str, str]]
"""Names and values of HTTP headers."""


SiteHeaders = Sequence[tuple[str | None, str, str]]
"""Headers, each with the host (and port) that it is for; None for every host."""


def headers_for(url: str, headers: SiteHeaders) -> Headers:
    """Returns the headers for requests to this URL."""
    sites = (None, site_of(url), urlsplit(url).hostname)
    return [(name, value) for site, name, value in headers if site in sites]


def secrets_of(proxy: str | None, headers: Headers) -> tuple[str, ...]:
    """Returns what must not be shown of a proxy's URL, and of HTTP headers: their values, and the keys in them."""
    words = [part for _, value in headers for part in (value, *value.split()) if part.lower() not in AUTH_SCHEMES]
    return (*words, *(() if proxy is None else keys_of(proxy)))


def keys_of(url: str) -> Iterator[str]:
    """Yields the parts of a URL that may be keys or passwords, also as HTTP's basic authentication sends them."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.query]
    yield from (word for word in words if len(word) >= SHORTEST_KEY)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if password:
        yield from (password, f"{user}:{password}", b64encode(unquote(f"{user}:{password}").encode()).decode())
    if len(user) >= SHORTEST_KEY or not password:
        yield user
