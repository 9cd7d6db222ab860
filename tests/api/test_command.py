"""The command `certindex-api`: what it says of a database that cannot be read."""

from pathlib import Path

import pytest

from api.command import warn_if_unusable
from api.settings import Settings


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{folder}/none.db", "{folder}/none.db cannot be used: there is no such file. Start the indexer"),
        ("sqlite:///{folder}/empty.db", "{folder}/empty.db is empty: start the indexer"),
        ("sqlite:///{folder}", "{folder} cannot be used: "),
        ("postgresql://me:secret@127.0.0.1:1/x", "postgresql://me@127.0.0.1:1/x cannot be used: "),
    ],
    ids=["no file", "no tables", "a folder", "no server"],
)
def test_a_database_that_cannot_be_read_is_named_when_the_server_starts(
    url: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty.db").touch()
    warn_if_unusable(Settings(database_url=url.format(folder=tmp_path)))
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"not ready: The database {reason.format(folder=tmp_path)}" in record.getMessage()
    assert "secret" not in caplog.text
    assert "sqlalche" not in caplog.text


def test_nothing_is_said_of_a_database_that_can_be_read(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    warn_if_unusable(Settings(database_url=database_url))
    assert caplog.records == []
