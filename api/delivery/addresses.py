"""Which addresses a webhook may reach. The check is made for every connection, with the address that it goes to.

A name is resolved first, so that neither a name of an internal host nor one whose address changes between two
look-ups (DNS rebinding) leads to an internal host.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
NAT64 = IPv6Network("64:ff9b::/96")
COMPATIBLE = IPv6Network("::/96")
SIZE_4 = 0xFFFFFFFF


class AddressRefused(OSError):
    """An address is not public, and not in the allowed networks."""


def parse_networks(text: str | None) -> tuple[Network, ...]:
    """Returns the networks of a setting, comma-separated."""
    return tuple(ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def refuse_private(address: str, allowed: Sequence[Network]) -> None:
    """Raises AddressRefused unless the address is public or in an allowed network."""
    ip = ip_address(address)
    if any(inner in network for inner in _inner(ip) for network in allowed):
        return
    if all(inner.is_global and not inner.is_multicast for inner in _inner(ip)):
        return
    raise AddressRefused(
        f"{address} is no public address. If the receiver is yours, allow its network: "
        f"ALLOW_NETWORKS={ip}/{ip.max_prefixlen}"
    )


def socket_factory(allowed: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """Returns the function that makes the socket of each connection, and refuses its address if it is private."""

    def make(address: Any) -> socket.socket:
        family, kind, protocol, _, target = address
        refuse_private(target[0], allowed)
        return socket.socket(family, kind, protocol)

    return make


def _inner(ip: Address) -> Iterator[Address]:
    """Yields the address, and the IPv4 addresses that it may lead to through a gateway."""
    yield ip
    if isinstance(ip, IPv4Address):
        return
    if ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo
    if ip in NAT64 or ip in COMPATIBLE:
        yield IPv4Address(int(ip) & SIZE_4)
