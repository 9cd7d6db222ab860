"""Signatures of Standard Webhooks: PyPI's library verifies v1, and the public key v1a."""

import base64
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from api.delivery.signing import new_private_key, new_secret, parse_key, signature_header

BODY = '{"näme": "Tracker"}'.encode()


def headers_of(*secrets: str, timestamp: int | None = None) -> dict[str, str]:
    timestamp = int(time.time()) if timestamp is None else timestamp
    signature = signature_header([parse_key(secret) for secret in secrets], "msg_1", timestamp, BODY)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def test_the_example_of_the_specification() -> None:
    key = parse_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = signature_header([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_verifies_and_refuses_what_was_changed() -> None:
    secret = new_secret()
    headers = headers_of(secret)
    assert Webhook(secret).verify(BODY, headers) == {"näme": "Tracker"}
    for changed in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(BODY, headers | changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers_of(secret, timestamp=int(time.time()) - 600))


def test_a_receiver_may_know_the_old_or_the_new_secret() -> None:
    old, new = new_secret(), new_secret()
    headers = headers_of(new, old)
    assert Webhook(old).verify(BODY, headers) == Webhook(new).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


def test_the_public_key_verifies_v1a() -> None:
    shared, private = new_secret(), new_private_key()
    headers = headers_of(shared, private)
    assert Webhook(shared).verify(BODY, headers)  # it passes over v1a
    version, _, signature = headers["webhook-signature"].split()[1].partition(",")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(str(parse_key(private).public).removeprefix("whpk_")))
    content = f"msg_1.{headers['webhook-timestamp']}.".encode() + BODY
    public.verify(base64.b64decode(signature), content)
    assert version == "v1a"
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), content + b" ")


def test_a_private_key_may_have_its_public_key_behind_it() -> None:
    private = new_private_key()
    seed = base64.b64decode(private.removeprefix("whsk_"))
    public = base64.b64decode(str(parse_key(private).public).removeprefix("whpk_"))
    assert parse_key("whsk_" + base64.b64encode(seed + public).decode()).public == parse_key(private).public
