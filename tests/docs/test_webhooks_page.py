"""The receivers that the pages show take messages and verify them, in processes of their own."""

import os
import re
import sys
from pathlib import Path

import httpx
import pytest

from api.delivery.addresses import parse_networks
from api.delivery.messages import Message
from api.delivery.signing import new_secret, parse_key
from api.delivery.subscriptions import Subscription, read_subscriptions
from api.delivery.webhook import Webhook
from scripts.documentation.tables import REPOSITORY
from scripts.processes import Child
from tests.support.processes import free_ports, until

GUIDE = (REPOSITORY / "docs/guides/webhooks.md").read_text()
REFERENCE = (REPOSITORY / "docs/reference/webhooks.md").read_text()
BODY = b'{"id": "msg_1", "type": "certindex.event.device_minted", "subject": "did:erc721:1:0x:7"}'


@pytest.mark.parametrize(
    ("page", "language", "command"), [(GUIDE, "python", sys.executable), (REFERENCE, "js", "node")]
)
async def test_the_receivers_verify_messages(page: str, language: str, command: str, tmp_path: Path) -> None:
    (shown,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    program, secret, [port] = tmp_path / "receiver.mjs", new_secret(), free_ports(1)
    program.write_text(shown)
    receiver = Child([command, program], environment=os.environ | {"ACME_SECRET": secret, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    try:
        until(lambda: _is_open(url), "the receiver", receiver)
        for keys, is_taken in (([secret], True), ([new_secret()], False), ([new_secret(), secret], True)):
            subscription = Subscription(name="acme", url=url, secrets=tuple(map(parse_key, keys)))
            webhook = Webhook(subscription, parse_networks("127.0.0.1/32"))
            assert (await webhook.send(Message(1, "msg_1", "", 0.0, BODY))).delivered is is_taken
            await webhook.close()
        until(
            lambda: "msg_1 certindex.event.device_minted did:erc721:1:0x:7" in receiver.last_output,
            "the event",
            receiver,
        )
    finally:
        receiver.stop()


def test_the_files_that_the_guide_shows_are_right(tmp_path: Path) -> None:
    environ = {"ACME_SECRET": new_secret(), "ACME_NEW_SECRET": new_secret()}
    for shown in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL):
        path = tmp_path / "subscriptions.toml"
        whole = shown if shown.startswith("[[") else f'[[subscription]]\nname = "a"\nurl = "https://a.example"\n{shown}'
        path.write_text(whole)
        assert read_subscriptions(path, environ)


def _is_open(url: str) -> bool:
    try:
        return httpx.get(url).status_code > 0
    except httpx.TransportError:
        return False
