"""A small profile of two events, for tests that add rules to it or break it; and an earlier text of a stored one."""

import pytest
from sqlalchemy import Connection, text

from schema.profile import releases
from schema.profile.releases import TEXTS, digest_of

PROFILE = """name = "mine"
[grants.contract]
zero_expiry = "never"

[networks.137]
certificate = { address = "0x9c94C395cBcBDe662235E0A9d3bB87Ad708561BA", start_block = 7 }

[[event]]
contract = "certificate"
signature = "Minted(uint256 indexed id, address device, string serial, bytes32 hash, uint8 state, string indexed tag)"
fact = "DeviceMinted"
fields = { token_id = "id", address = "device", serial_number = "serial" }

[[event]]
contract = "certificate"
signature = "Granted(uint256 indexed id, address user, bool open)"
fact = "UserAuthorized"
fields = { token_id = "id", user = "user" }
"""


def store_earlier_text(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the stored profile of the product one of an earlier release, with another text."""
    name, stored = connection.execute(text("SELECT name, text FROM profile")).one()
    earlier = f"{stored}\n# of an earlier release"
    connection.execute(text("UPDATE profile SET text = :earlier"), {"earlier": earlier})
    monkeypatch.setattr(releases, "TEXTS", {**TEXTS, name: (digest_of(earlier), *TEXTS[name])})
