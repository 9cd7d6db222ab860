"""The parties and things of a fleet: manufacturers, models, owners, organizations, firmware, and their codes."""

from dataclasses import dataclass

from eth_utils.crypto import keccak

DAY = 86_400
YEARS_TWO = 730 * DAY

IN_CIRCUIT, MECHANICAL, QUALITY = "IN_CIRCUIT", "MECHANICAL", "QUALITY"
SUCCEEDED, FAILED, ROLLED_BACK = 0, 1, 2
DECOMMISSIONED, RECYCLED, DISPOSED = 1, 2, 3
NONE, CLEAR, PURGE, DESTROY = 0, 1, 2, 3
UNSPECIFIED, USER_REQUEST, OWNERSHIP_CHANGE, SERVICE, SECURITY = 0, 1, 2, 3, 4
READ, UPDATE_FIRMWARE, RESET, MANAGE_USERS = 1, 2, 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """A manufacturer. Days count from the beginning of the fleet."""

    number: int
    name: str
    expires_on: int | None = None
    revoked_on: int | None = None
    renewed_on: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with a hardware license."""

    number: int
    maker: int
    name: str
    revision: str
    tac: str
    expires_on: int | None = None
    revoked_on: int | None = None
    reason: str = ""


# Licenses end after LAST_MINT_ON: the contract demands a license to mint and to record tests.
FIRST_MINT_ON, LAST_MINT_ON = 5, 560

MAKERS = (
    Maker(number=1, name="Acme Telematics"),
    Maker(number=2, name="Borealis Devices", expires_on=630),
    Maker(number=3, name="Cormorant Labs", revoked_on=610, reason="Falsified inspection reports"),
    Maker(number=4, name="Dorado Systems", revoked_on=590, renewed_on=660, reason="Audit overdue"),
    Maker(number=5, name="Éclair Électronique"),
)
LICENSED_FOR_EVER = (1, 5)

MODELS = (
    Model(number=101, maker=1, name="Tracker One", revision="A", tac="35209900"),
    Model(number=102, maker=1, name="Tracker Two", revision="B", tac="35209901"),
    Model(number=201, maker=2, name="Aurora", revision="C", tac="86111203", expires_on=620),
    Model(number=301, maker=3, name="Plunge", revision="1", tac="35875310"),
    Model(number=401, maker=4, name="Gilt", revision="A2", tac="01326300"),
    Model(number=501, maker=5, name="Balise 🛰", revision="Ç1", tac="35404611"),
    Model(
        number=502, maker=5, name="Passerelle", revision="β", tac="35404612", revoked_on=600, reason="Radio out of band"
    ),
)

OWNERS = tuple(f"owner {number}" for number in range(1, 13))
ORGANIZATIONS = (
    "Northwind Logistics",
    "Contoso Rentals",
    "Stadtwerke Köln",
    "東京カーシェア",
    'O\'Brien & Sons "Haulage"',
    "Fabrikam Insurance",
    "Tailspin Leasing",
    "Café Coursier ☕",
    "Proseware Diagnostics",
    "Litware Recovery",
)
UPDATE_SERVICE = "Woodgrove Over-the-Air"
STATIONS = {
    IN_CIRCUIT: ("ICT-1", "ICT-2", "flying probe"),
    MECHANICAL: ("shaker 4", "drop tower", "climate chamber"),
    QUALITY: ("M. Okafor", "L. Nguyen", "J. García", "S. Lindqvist"),
}
FACILITIES = ("Rotterdam Yard 3", "Ohio Recovery", "Leipzig Werkstatt", "Osaka Center")

# day of release, version; 2.9.0 is before 2.10.0 as a version and after it as a text
RELEASES = (
    (0, "1.0.0"),
    (60, "1.1.0"),
    (150, "1.2.0"),
    (250, "2.0.0"),
    (350, "2.8.1"),
    (450, "2.9.0"),
    (560, "2.10.0"),
    (640, "2.11.0-rc.1"),
    (690, "2.11.0"),
)


def account(name: str) -> str:
    """Returns the address of a party, which is the same in each run."""
    return "0x" + keccak(text=f"certindex demo fleet: {name}")[12:].hex()


def digest(text: str) -> bytes:
    """Returns the hash of a document or an image, which need not exist."""
    return keccak(text=text)


def imei(tac: str, serial: int) -> str:
    """Returns a valid IMEI: type allocation code, serial and check digit."""
    body = f"{tac}{serial:06}"
    return body + str(check_digit(body))


def check_digit(body: str) -> int:
    """Returns the Luhn digit of 14 digits."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(body)]
    return -sum(number // 10 + number % 10 for number in doubled) % 10


def imei_is_valid(text: str) -> bool:
    plain = text.replace(" ", "").replace("-", "")
    digits = plain.isascii() and plain.isdigit() and len(plain) == 15
    return digits and int(plain[-1]) == check_digit(plain[:-1])


def version_on(day: int) -> str:
    """Returns the firmware that a factory loads on a day."""
    return [version for released, version in RELEASES if released <= day and "-" not in version][-1]
