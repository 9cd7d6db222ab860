"""Events of hardware licenses have the manufacturer that holds the license."""

from sqlalchemy import text

from schema.events import Kind
from tests.support.index.history import History, log

MAKERS = text(
    "SELECT event.kind, manufacturer.token_id FROM event "
    "LEFT JOIN manufacturer ON manufacturer.id = event.manufacturer_id ORDER BY event.position"
)


def test_a_revocation_is_an_event_of_the_manufacturer_that_holds_the_license(sqlite_url: str) -> None:
    history = History(sqlite_url)
    history.block(log("HardwareLicensed", 10, 1, "Tracker", "A", "ipfs://l", bytes(32), 0))
    history.block(log("HardwareLicenseRevoked", 10, "recall"))
    history.block(log("HardwareLicenseRevoked", 11, "never granted"))
    with history.engine.connect() as connection:
        rows = [(kind, maker and int.from_bytes(maker)) for kind, maker in connection.execute(MAKERS)]
    assert rows == [
        (Kind.HARDWARE_LICENSED, 1),
        (Kind.HARDWARE_LICENSE_REVOKED, 1),
        (Kind.HARDWARE_LICENSE_REVOKED, None),
    ]
    history.engine.dispose()
