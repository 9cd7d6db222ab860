"""The receivers and readers that the pages show take messages, in processes of their own."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from api.delivery.addresses import parse_networks
from api.delivery.messages import Message
from api.delivery.nats import Nats
from api.delivery.redis import Redis
from api.delivery.signing import new_secret, parse_key
from api.delivery.subscriptions import Subscription, read_subscriptions
from api.delivery.webhook import Webhook
from scripts.documentation.tables import REPOSITORY
from scripts.processes import Child
from tests.support.brokers import nats_server, redis_server, stopping
from tests.support.processes import free_ports, until

GUIDE = (REPOSITORY / "docs/guides/webhooks.md").read_text()
REFERENCE = (REPOSITORY / "docs/reference/webhooks.md").read_text()
BODY = b'{"id": "msg_1", "type": "certindex.event.device_minted", "subject": "did:erc721:1:0x:7"}'
MESSAGE = Message(1, "msg_1", "certindex.event.device_minted", 0.0, BODY)
PRINTED = "msg_1 certindex.event.device_minted did:erc721:1:0x:7"


@pytest.mark.parametrize(
    ("page", "language", "command"), [(GUIDE, "python", sys.executable), (REFERENCE, "js", "node")]
)
async def test_the_receivers_verify_messages(page: str, language: str, command: str, tmp_path: Path) -> None:
    shown = example(page, language)
    program, secret, [port] = tmp_path / "receiver.mjs", new_secret(), free_ports(1)
    program.write_text(shown)
    receiver = Child([command, program], environment=os.environ | {"ACME_SECRET": secret, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    try:
        until(lambda: _is_open(url), "the receiver", receiver)
        for keys, is_taken in (([secret], True), ([new_secret()], False), ([new_secret(), secret], True)):
            subscription = Subscription(name="acme", url=url, secrets=tuple(map(parse_key, keys)))
            webhook = Webhook(subscription, parse_networks("127.0.0.1/32"))
            assert (await webhook.send(MESSAGE)).delivered is is_taken
            await webhook.close()
        until(lambda: PRINTED in receiver.last_output, "the event", receiver)
    finally:
        receiver.stop()


async def test_the_program_reads_the_stream_of_nats(tmp_path: Path) -> None:
    program, [port] = tmp_path / "reader.py", free_ports(1)
    program.write_text(example(GUIDE, "python", 1).replace("4222", str(port)))
    with stopping(nats_server(port, tmp_path)), stopping(Child([sys.executable, program])) as reader:
        receiver = Nats(Subscription(name="bus", url=f"nats://127.0.0.1:{port}"))
        for _ in range(600):
            if (await receiver.send(MESSAGE)).delivered:  # once the program has made the stream
                break
            await asyncio.sleep(0.1)
        await receiver.close()
        until(lambda: PRINTED in reader.last_output, "the event", reader)


async def test_the_command_reads_the_stream_of_redis(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with stopping(redis_server(port, tmp_path)):
        receiver = Redis(Subscription(name="stream", url=f"redis://127.0.0.1:{port}/0"))
        assert (await receiver.send(MESSAGE)).delivered
        await receiver.close()
        command = example(GUIDE, "sh", -1).replace("6379", str(port))
        done = await asyncio.to_thread(subprocess.run, ["sh", "-c", command], capture_output=True, check=True)
        assert BODY in done.stdout


def example(page: str, language: str, number: int = 0) -> str:
    return str(re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)[number])


def test_the_files_that_the_guide_shows_are_right(tmp_path: Path) -> None:
    environ = {"ACME_SECRET": new_secret(), "ACME_NEW_SECRET": new_secret()}
    for shown in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL):
        path = tmp_path / "subscriptions.toml"
        whole = shown if shown.startswith("[[") else f'[[subscription]]\nname = "a"\nurl = "https://a.example"\n{shown}'
        path.write_text(whole)
        assert read_subscriptions(path, environ)


def _is_open(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).status_code > 0
    except httpx.TransportError:
        return False
