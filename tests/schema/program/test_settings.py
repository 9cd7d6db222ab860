"""Settings: their sources, their types, and errors with an example."""

import argparse
from dataclasses import dataclass

import pytest

from schema.program.settings import (
    SettingsError,
    add_options,
    database_url,
    read_settings,
    seconds,
    setting,
    switch,
    text,
    whole_number,
    without_password,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str = setting(
        database_url, default="sqlite:///a.db", help="Where rows are.", example="sqlite:///a.db"
    )
    rpc_url: str = setting(text, help="The node.", example="http://127.0.0.1:8545")
    port: int = setting(whole_number(0, 65535), default="8000", help="Port, 100% free.", example="8000")
    chain_id: int | None = setting(whole_number(1, 2**63 - 1), optional=True, help="The network.", example="137")
    pause: float = setting(seconds(0.1, 60), default="2", help="Between polls.", example="0.5")
    page: bool = setting(switch, default="on", help="Serve the page.", example="off")


def read(options: list[str], **environ: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser, Settings)
    return read_settings(Settings, parser.parse_args(options), environ)


def test_a_setting_comes_from_its_option_then_the_environment_then_its_default() -> None:
    assert read([], RPC_URL="http://a").port == 8000
    assert read([], RPC_URL="http://a", PORT="1").port == 1
    assert read(["--port", "2"], RPC_URL="http://a", PORT="1").port == 2


def test_every_kind_of_setting_is_read() -> None:
    environ = {
        "RPC_URL": "http://a",
        "CHAIN_ID": "137",
        "PAUSE": "0.5",
        "PAGE": "off",
        "DATABASE_URL": "postgresql://h/d",
    }
    assert read([], **environ) == Settings(
        database_url="postgresql://h/d", rpc_url="http://a", chain_id=137, pause=0.5, page=False
    )


def test_an_optional_setting_without_a_value_is_none_and_an_empty_one_counts_as_not_set() -> None:
    settings = read([], RPC_URL="http://a", CHAIN_ID="", PORT="")
    assert settings.chain_id is None
    assert settings.port == 8000


def test_a_missing_setting_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"^RPC_URL is not set\. Example: RPC_URL=http://127\.0\.0\.1:8545$"):
        read([])


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("PORT", "80x", "not a whole number from 0 to 65535"),
        ("PORT", "65536", "not a whole number from 0 to 65535"),
        ("PORT", "٣", "not a whole number from 0 to 65535"),
        ("PAUSE", "nan", "not a number of seconds from 0.1 to 60"),
        ("PAUSE", "0", "not a number of seconds from 0.1 to 60"),
        ("PAGE", "yes", "neither on nor off"),
        ("DATABASE_URL", "mysql://h/d", "not a URL of SQLite"),
        ("DATABASE_URL", "certindex.db", "not a URL of SQLite"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_a_right_example(key: str, value: str, wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read([], RPC_URL="http://a", **{key: value})
    assert str(caught.value).startswith(f'{key} is "{value}": {wrong}')
    assert f"Example: {key}=" in str(caught.value)


def test_a_wrong_option_is_named_as_it_was_written() -> None:
    with pytest.raises(SettingsError, match=r'^--port is "x": .* Example: --port 8000$'):
        read(["--port", "x"], RPC_URL="http://a")


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read([], PORT="x", PAGE="?")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["RPC_URL", "PORT", "PAGE"]


def test_a_password_is_not_shown() -> None:
    assert without_password("mysql://me:s3cret@host/name") == "mysql://me:***@host/name"
    with pytest.raises(SettingsError) as caught:
        read([], RPC_URL="http://a", DATABASE_URL="mysql://me:s3cret@host/name")
    assert "s3cret" not in str(caught.value)


def test_help_explains_every_setting_with_its_default_and_an_example() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, Settings)
    words = " ".join(parser.format_help().split())
    assert "--port VALUE Port, 100% free. Default: 8000. Example: PORT=8000" in words
    assert "--rpc-url VALUE The node. Required. Example: RPC_URL=http://127.0.0.1:8545" in words
