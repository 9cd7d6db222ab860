"""Acts: what people do to a fleet of devices, and the transaction of each act."""

from dataclasses import astuple, dataclass
from typing import Any, assert_never

from tests.support.fleet.names import IN_CIRCUIT, MECHANICAL, QUALITY, account, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the factory mints of one device, in the order of the contract's mint request."""

    device: str
    model: int
    serial_number: str
    imei: str
    manufactured_at: int
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    at: int  # unix seconds; the next block records it


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseManufacturer(_Act):
    manufacturer: int
    name: str
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeManufacturer(_Act):
    manufacturer: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseModel(_Act):
    model: int
    manufacturer: int
    name: str
    revision: str
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeModel(_Act):
    model: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MintPallet(_Act):
    manufacturer: int
    owner: str
    first_token: int
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correct(_Act):
    token: int
    attribute: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAddress(_Act):
    token: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTest(_Act):
    token: int
    kind: str
    passed: bool
    station: str
    tested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision(_Act):
    token: int
    provisioned_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize(_Act):
    token: int
    user: str
    organization: str
    permissions: int
    expires_at: int  # 0 is never


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(_Act):
    token: int
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetDevice(_Act):
    token: int
    reason: int
    by: str | None = None  # an authorized user, else the owner


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFirmware(_Act):
    token: int
    to_version: str
    result: int
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLife(_Act):
    token: int
    process: int
    facility: str
    sanitization: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferDevice(_Act):
    token: int
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn(_Act):
    token: int


DeviceAct = (
    Correct
    | ResetAddress
    | RecordTest
    | Provision
    | Authorize
    | Revoke
    | ResetDevice
    | UpdateFirmware
    | EndLife
    | TransferDevice
    | Burn
)
Act = LicenseManufacturer | RevokeManufacturer | LicenseModel | RevokeModel | MintPallet | DeviceAct

REGISTRAR = account("registrar")
TEST_FUNCTIONS = {
    IN_CIRCUIT: "recordInCircuitTest",
    MECHANICAL: "recordMechanicalTest",
    QUALITY: "recordQualityInspection",
}


def maker_account(manufacturer: int) -> str:
    return account(f"manufacturer {manufacturer}")


def license_uri(kind: str, number: int) -> str:
    return f"https://licenses.example/{kind}/{number}.pdf"


def report_uri(act: RecordTest) -> str:
    return f"https://reports.example/{act.kind.lower()}/{act.token}/{act.at}.json"


def evidence_uri(act: EndLife) -> str:
    return f"https://evidence.example/{act.token}/{act.process}.pdf"


def call_of(act: Act, owner: str | None, manufacturer: int | None) -> tuple[str, str, tuple[Any, ...]]:
    """Returns the sender, function and arguments of an act's transaction; owner and manufacturer are the device's."""
    holder = owner or ""
    maker = maker_account(manufacturer) if manufacturer is not None else ""
    match act:
        case LicenseManufacturer(manufacturer=number):
            uri = license_uri("manufacturer", number)
            arguments = (number, maker_account(number), act.name, uri, digest(uri), act.expires_at)
            return REGISTRAR, "licenseManufacturer", arguments
        case RevokeManufacturer():
            return REGISTRAR, "revokeManufacturerLicense", (act.manufacturer, act.reason)
        case LicenseModel():
            uri = license_uri("hardware", act.model)
            model = (act.model, act.manufacturer, act.name, act.revision)
            return REGISTRAR, "licenseHardware", (*model, uri, digest(uri), act.expires_at)
        case RevokeModel():
            return REGISTRAR, "revokeHardwareLicense", (act.model, act.reason)
        case MintPallet():
            pallet = [astuple(draft) for draft in act.drafts]
            return maker_account(act.manufacturer), "mintBatch", (act.manufacturer, act.owner, pallet)
        case Correct():
            return maker, "correct", (act.token, act.attribute, act.value)
        case ResetAddress():
            return maker, "resetDeviceAddress", (act.token, act.device)
        case RecordTest():
            uri = report_uri(act)
            report = (act.passed, act.tested_at, act.station, uri, digest(uri))
            return maker, TEST_FUNCTIONS[act.kind], (act.token, report)
        case Provision():
            return maker, "provision", (act.token, act.provisioned_at)
        case Authorize():
            grant = (act.user, act.organization, act.permissions, act.expires_at)
            return holder, "authorizeUser", (act.token, *grant)
        case Revoke():
            return holder, "revokeUser", (act.token, act.user)
        case ResetDevice():
            return act.by or holder, "factoryReset", (act.token, act.at, act.reason)
        case UpdateFirmware():
            image = digest(act.to_version)
            return act.by or holder, "updateFirmware", (act.token, act.to_version, image, act.result, act.at)
        case EndLife():
            uri = evidence_uri(act)
            step = (act.process, act.at, act.facility, act.sanitization, uri, digest(uri))
            return holder, "recordEndOfLife", (act.token, step)
        case TransferDevice():
            return holder, "transferFrom", (holder, act.recipient, act.token)
        case Burn():
            return holder, "burn", (act.token,)
        case _:
            assert_never(act)
