"""Licenses, manufacturers and devices as a `World` has them. Times are unix seconds; an absent value is None."""

from dataclasses import dataclass, field

SANITIZATIONS = {0: "NONE", 1: "CLEAR", 2: "PURGE", 3: "DESTROY"}
WEAKEST_FIRST = ("NONE", "UNKNOWN", "CLEAR", "PURGE", "DESTROY")


@dataclass(slots=True, kw_only=True)
class License:
    """A license as it was last granted. `expires_at` is the first second without it, None if it never expires."""

    uri: str
    hash: bytes
    granted_at: int
    expires_at: int | None
    revoked_at: int | None = None
    reason: str | None = None

    def status(self, clock: int) -> str:
        if self.revoked_at is not None:
            return "REVOKED"
        return "EXPIRED" if self.expires_at is not None and clock >= self.expires_at else "VALID"


@dataclass(slots=True, kw_only=True)
class Manufacturer:
    number: int
    account: str
    name: str
    license: License


@dataclass(slots=True, kw_only=True)
class Model:
    """A hardware license."""

    number: int
    manufacturer: int
    name: str
    revision: str
    license: License


@dataclass(slots=True, kw_only=True)
class Grant:
    """Access of a user. `expires_at` is the first second without it, None if it never expires."""

    user: str
    organization: str
    permissions: int
    granted_at: int
    expires_at: int | None
    ended_at: int | None = None
    end_reason: str | None = None

    def is_active(self, clock: int) -> bool:
        return self.ended_at is None and (self.expires_at is None or clock < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAddress:
    address: str
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    __test__ = False  # not a test class for pytest

    kind: str
    passed: bool
    tested_at: int
    station: str
    report_uri: str
    report_hash: bytes
    record_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    from_version: str
    to_version: str
    image_hash: bytes
    result: int
    applied_at: int
    record_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    initiator: str
    reset_at: int
    reason: int
    record_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    process: int
    occurred_at: int
    facility: str
    sanitization: int
    evidence_uri: str
    evidence_hash: bytes
    record_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event of a device's history."""

    kind: str
    record_time: int
    event_time: int | None
    after_end_of_life: bool


@dataclass(slots=True, kw_only=True)
class Device:
    token: int
    owner: str | None
    address: str
    addresses: list[HeldAddress]  # oldest first
    serial_number: str | None
    imei: str | None
    dev_eui: str | None = None
    hardware_revision: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    manufacturer: int
    model: int
    manufacturer_license_at_mint: str
    model_license_at_mint: str
    manufactured_at: int
    minted_at: int
    provisioned_at: int | None = None
    provisioned_after_quality: str = "NOT_APPLICABLE"
    initial_firmware: str
    firmware: str
    firmware_image: bytes | None = None
    firmware_updated_at: int | None = None
    updates: list[Update] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    resets: list[Reset] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    end_of_life: str = "IN_SERVICE"
    end_of_life_at: int | None = None
    facility: str | None = None
    burned: bool = False
    history: list[Entry] = field(default_factory=list)

    def users(self, clock: int) -> list[Grant]:
        """Returns the grants in force, oldest first."""
        return [grant for grant in self.grants if grant.is_active(clock)]

    def tests_of(self, kind: str) -> list[Test]:
        return [test for test in self.tests if test.kind == kind]

    def resets_since(self, instant: int) -> int:
        return sum(reset.record_time >= instant for reset in self.resets)

    @property
    def sanitization(self) -> str | None:
        """The strongest sanitization of all steps."""
        sanitizations = [SANITIZATIONS.get(step.sanitization, "UNKNOWN") for step in self.steps]
        return max(sanitizations, key=WEAKEST_FIRST.index, default=None)

    @property
    def last_updated_at(self) -> int:
        return self.history[-1].record_time
