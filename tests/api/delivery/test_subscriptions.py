"""The file of the subscriptions: every way in which it can be wrong has an error that names the place and a way out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from api.delivery.subscriptions import KEYS, read_subscriptions
from schema.program.settings import SettingsError

SECRET = "whsec_" + "A" * 40
GOOD = f'[[subscription]]\nname = "acme"\nurl = "https://acme.example/hook"\nsecrets = ["{SECRET}"]\n'
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "subscriptions.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no subscription: begin one with the line [[subscription]]"),
        ("subscription = 3", "has no subscription"),
        ("subscription = [3]", "subscription 1: not a table"),
        ("[[subscription]\n", "is not TOML"),
        (f"{GOOD}[other]\n", 'unknown key "other"'),
        (f'{GOOD}secret = "x"', 'subscription "acme": unknown key "secret". Keys: name, url, secrets'),
        ("[[subscription]]\n", '"name" is missing. Example: name = "acme"'),
        (GOOD.replace('"acme"', '"Acme Inc"'), 'name is "Acme Inc": not 1 to 63 small letters'),
        (GOOD.replace('"acme"', "7"), "name is 7: not a text in quotes"),
        (GOOD + GOOD, '2 subscriptions have the name "acme"'),
        (GOOD.replace("https", "ftp"), "url: its scheme is none of https, http, nats"),
        (GOOD.replace("acme.example", ""), "url: it names no host"),
        (GOOD.replace("acme.example", "acme.example:99999"), "url: Port out of range"),
        (GOOD.replace("acme.example", "a b"), "url: a URL has no blanks"),
        (GOOD.replace("acme.example", "user:pass@acme.example"), "url: a webhook's URL has no user and password"),
        (GOOD.replace("/hook", "/hook#x"), "url: a fragment"),
        (GOOD.replace("acme.example", "a" * 64), "url: its host is no name"),
        (GOOD.replace(f'["{SECRET}"]', "[]"), "secrets: not a list of secrets"),
        (GOOD.replace(f'["{SECRET}"]', f'"{SECRET}"'), "secrets: not a list of secrets"),
        (GOOD.replace(SECRET, "hunter2"), "secrets: secret 1 of 1: neither whsec_ (a shared secret) nor whsk_"),
        (GOOD.replace(SECRET, "whsec_!!!!"), "secrets: secret 1 of 1: not base64"),
        (GOOD.replace(SECRET, "whsec_AAAA"), "secrets: secret 1 of 1: 3 bytes after whsec_: 24 to 64 are allowed"),
        (GOOD.replace(SECRET, "whsk_AAAA"), "3 bytes after whsk_: 32 are needed"),
        (GOOD.replace(SECRET, "whsk_" + "A" * 86), "the public key behind the seed is that of another key"),
        (GOOD.replace(SECRET, "env:NOT_SET"), "the environment variable NOT_SET is not set"),
        (GOOD.replace(SECRET, "file:/nowhere"), "/nowhere cannot be read"),
        (GOOD[: GOOD.index("secrets")], '"secrets" is missing, so that the receiver could not verify who sends'),
        (f'{GOOD}filter = "all"', 'filter is "all": not a table'),
        (f'{GOOD}finality = "FINAL"', 'finality is "FINAL": none of UNSAFE, SAFE, FINALIZED'),
        (f'{GOOD}start = "yesterday"', "none of beginning, now"),
        (f'{GOOD}fields = ""', "fields"),
        (f"{GOOD}timeout = 0", "timeout is 0: not a number from 1 to 60"),
        (f'{GOOD}timeout = "5"', 'timeout is "5": not a number'),
        (f'{GOOD}headers = {{ Host = "x" }}', '"Host" is no name of a header, or is one that every request has'),
        (f'{GOOD}headers = {{ Webhook-Id = "x" }}', '"Webhook-Id" is no name of a header'),
        (f'{GOOD}headers = {{ X = "a\\r\\nY: b" }}', "the value of X has characters that a header cannot have"),
        (f"{GOOD}enabled = 1", "enabled is 1: neither true nor false"),
        (f'{GOOD}subject = "a"', '"subject" is for nats receivers; https://acme.example/... is webhook'),
        ('[[subscription]]\nname="a"\nurl="nats://n"\nsubject="a..b"', "not words that dots separate"),
        ('[[subscription]]\nname="a"\nurl="redis://r"\nmax_length=0', "not a whole number from 1 on"),
        (f'[[subscription]]\nname="a"\nurl="redis://r"\nsecrets=["{SECRET}"]', '"secrets" is for webhook receivers'),
    ],
)
def test_what_is_wrong_is_named(write: Write, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_subscriptions(write(text), {})
    assert words in str(raised.value)
    assert "subscriptions.toml" in str(raised.value)


def test_all_that_is_wrong_is_named_at_once(write: Write) -> None:
    with pytest.raises(SettingsError) as raised:
        read_subscriptions(write('[[subscription]]\nname = "A"\nurl = "x"\n[[subscription]]\nname = "b"'), {})
    assert len(str(raised.value).splitlines()) == 3


def test_a_secret_is_never_shown(write: Write) -> None:
    hidden = "whsec_c2VjcmV0"
    headers = 'headers = { Authorization = "hunter2\\u0000" }'
    with pytest.raises(SettingsError) as raised:
        read_subscriptions(write(GOOD.replace(SECRET, hidden) + headers), {})
    assert "c2VjcmV0" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no file .*none\.toml.*SUBSCRIPTIONS="):
        read_subscriptions(tmp_path / "none.toml", {})


def test_secrets_and_headers_come_from_the_environment_and_from_files(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer t\n")
    text = GOOD.replace(SECRET, "env:ACME") + f'headers = {{ Authorization = "file:{tmp_path}/token" }}'
    (subscription,) = read_subscriptions(write(text), {"ACME": SECRET})
    assert subscription.headers == {"Authorization": "Bearer t"}
    assert [key.version for key in subscription.secrets] == ["v1"]


@pytest.mark.parametrize("name", KEYS)
def test_the_example_of_each_key_is_right(write: Write, name: str) -> None:
    urls = {"nats": "nats://n", "redis": "redis://r"}
    kind = KEYS[name].kind
    values = {"name": '"a"', "url": f'"{urls.get(kind or "", "https://h")}"'}
    if kind not in urls:
        values["secrets"] = f'["{SECRET}"]'
    values[name] = KEYS[name].example
    lines = "".join(f"{key} = {value}\n" for key, value in values.items())
    environ = {"ACME_SECRET": SECRET, "ACME_TOKEN": "Bearer t"}
    assert len(read_subscriptions(write(f"[[subscription]]\n{lines}"), environ)) == 1
