import pytest

from api.settings import Settings
from tests.support.certindex import certindex_api


def test_the_settings_have_the_defaults_that_the_readme_promises() -> None:
    settings = Settings()
    assert settings.database_url == "sqlite:///certindex.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.graphiql
    assert settings.introspection
    assert settings.explorer
    assert (settings.explorer_name, settings.base_url) == ("certindex", None)


def test_help_explains_every_setting_with_an_example() -> None:
    help_text = " ".join(certindex_api("--help").stdout.split())
    for name in ("DATABASE_URL", "HOST", "PORT", "MAX_LAG_SECONDS", "POLL_STALE_SECONDS", "GRAPHIQL", "INTROSPECTION"):
        assert f"--{name.lower().replace('_', '-')} VALUE" in help_text
        assert f"Example: {name}=" in help_text


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--port", "80x"], {}, '--port is "80x": not a whole number from 0 to 65535. Example: --port 8000'),
        ([], {"GRAPHIQL": "maybe"}, 'GRAPHIQL is "maybe": neither on nor off. Example: GRAPHIQL=off'),
        ([], {"EXPLORER": "yes"}, 'EXPLORER is "yes": neither on nor off. Example: EXPLORER=off'),
        ([], {"BASE_URL": "example.org"}, 'BASE_URL is "example.org": not http:// or https:// with a host'),
        ([], {"BASE_URL": "https://example.org/a"}, 'BASE_URL is "https://example.org/a": not http:// or https://'),
        ([], {"DATABASE_URL": "mysql://host/name"}, 'DATABASE_URL is "mysql://host/name": not a URL of SQLite'),
        (
            [],
            {"DIMO_API": "on", "TRUSTED_DOCUMENTS": "a.json"},
            'DIMO_API is "on", and TRUSTED_DOCUMENTS is "a.json"',
        ),
        ([], {"DATABASE_URL": "sqlite:////no/such/folder/a.db"}, "there is no folder /no/such/folder"),
    ],
)
def test_a_wrong_setting_ends_the_program_with_status_2_and_no_traceback(
    arguments: list[str], environ: dict[str, str], message: str
) -> None:
    ended = certindex_api(*arguments, **environ)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_schema_is_printed_without_a_database() -> None:
    printed = certindex_api("schema")
    assert printed.returncode == 0
    assert "type Device implements Node" in printed.stdout
