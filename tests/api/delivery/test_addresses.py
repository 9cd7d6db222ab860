"""Webhooks reach public addresses only: names are resolved first, and each connection is checked."""

import asyncio
import socket
from typing import Any

import pytest

from api.delivery import webhook as webhooks
from api.delivery.addresses import AddressRefused, parse_networks, refuse_private
from api.delivery.messages import Message
from api.delivery.signing import new_secret, parse_key
from api.delivery.subscriptions import Subscription
from api.delivery.webhook import Webhook
from tests.support.api.receiving import receiving

MESSAGE = Message(1, "msg_1", "certindex.test", 0.0, b"{}")
KEYS = (parse_key(new_secret()),)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::", "2001::1:f5ff:fffe"),
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"is no public address.*ALLOW_NETWORKS="):
        refuse_private(address, ())


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_public_addresses_are_reached(address: str) -> None:
    refuse_private(address, ())


def test_networks_are_allowed() -> None:
    allowed = parse_networks("10.1.0.0/16, ::1")
    for address in ("10.1.2.3", "::1", "::ffff:10.1.2.3"):
        refuse_private(address, allowed)
    with pytest.raises(AddressRefused):
        refuse_private("10.2.0.1", allowed)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "0"])
async def test_no_spelling_of_a_host_leads_to_this_machine(host: str) -> None:
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        webhook = Webhook(Subscription(name="a", url=url, secrets=KEYS), ())
        outcome = await webhook.send(MESSAGE)
        await webhook.close()
        assert not outcome.delivered
        assert receiver.requests == []


async def test_a_name_that_changes_its_address_does_not_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first look-up gives an allowed address, the next a private one."""
    addresses = ["127.0.0.1", "127.0.0.2"]

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        assert host == "rebinding.example"
        address = addresses.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(webhooks, "KEEP_SECONDS", 0.01)
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.example")
        webhook = Webhook(Subscription(name="a", url=url, secrets=KEYS), parse_networks("127.0.0.1/32"))
        first = await webhook.send(MESSAGE)
        await asyncio.sleep(0.05)  # the connection is not used again
        outcome = await webhook.send(MESSAGE)
        await webhook.close()
        assert (first.delivered, outcome.delivered, outcome.result) == (True, False, "address")
        assert len(receiver.requests) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        webhook = Webhook(Subscription(name="a", url="http://10.0.0.1/", secrets=KEYS), ())
        outcome = await webhook.send(MESSAGE)
        await webhook.close()
        assert outcome.result == "address"
        assert proxy.requests == []
