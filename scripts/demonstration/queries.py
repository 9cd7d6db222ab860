"""The example queries that the demo prints, about a device of its own fleet."""

from datetime import UTC, datetime

from tests.support.fleet import Fleet
from tests.support.fleet.names import DAY
from tests.support.fleet.records import Device

EXAMPLES = (
    (
        "One device: what it is, who made it, who may use it",
        """{
  device(by: {tokenId: "%(token)s"}) {
    tokenDID owner address serialNumber imei { value valid } manufacturedAt provisionedAt
    manufacturer { name license { status } }
    hardwareLicense { model license { status } }
    firmware { version }
    authorizedUsers { totalCount nodes { organization user expiresAt } }
    endOfLife { status }
  }
}""",
    ),
    (
        "What fails in this fleet",
        """{
  inspectionFailed: devices(filterBy: {qualityInspection: {eq: FAIL}}) { totalCount nodes { tokenDID } }
  wrongImei: devices(filterBy: {imeiValid: {eq: FAIL}}) { totalCount nodes { imei { value } } }
  activeAfterItsEnd: devices(filterBy: {noActivityAfterEndOfLife: {eq: FAIL}}) {
    totalCount nodes { tokenDID endOfLife { status occurredAt } }
  }
}""",
    ),
    (
        "The same device a year ago",
        """{
  device(by: {tokenId: "%(token)s"}, asOf: {timestamp: "%(then)s"}) {
    asOf { number timestamp } owner firmware { version }
    manufacturer { name license { status } }
    authorizedUsers { totalCount nodes { organization } }
  }
}""",
    ),
)


def example_queries(fleet: Fleet, now: int) -> list[tuple[str, str]]:
    """Returns titles and queries, each with an answer that is not empty in this fleet."""
    token = _eventful_device(fleet, now).token
    a_year_ago = datetime.fromtimestamp(now - 365 * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [(title, query % {"token": token, "then": a_year_ago}) for title, query in EXAMPLES]


def _eventful_device(fleet: Fleet, now: int) -> Device:
    """Returns the device with the most users now, if possible one that existed a year ago."""
    devices = list(fleet.world.devices.values())
    old = [device for device in devices if device.minted_at < now - 400 * DAY]
    return max(old or devices, key=lambda device: (len(device.users(now)), len(device.history)))
