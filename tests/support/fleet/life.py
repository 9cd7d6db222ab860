"""The life of one device: the acts that a story plans for it, and when in chain time they happen."""

from dataclasses import dataclass, field
from random import Random

from tests.support.fleet.acts import (
    Act,
    Authorize,
    Burn,
    Correct,
    EndLife,
    Provision,
    RecordTest,
    ResetAddress,
    ResetDevice,
    Revoke,
    TransferDevice,
    UpdateFirmware,
)
from tests.support.fleet.names import (
    DAY,
    FACILITIES,
    FAILED,
    IN_CIRCUIT,
    MECHANICAL,
    ORGANIZATIONS,
    OWNERS,
    QUALITY,
    READ,
    RELEASES,
    ROLLED_BACK,
    STATIONS,
    SUCCEEDED,
    account,
)


@dataclass(slots=True, kw_only=True)
class Life:
    """The life of one device. Times are unix seconds."""

    number: int  # of the device in the fleet, from 0
    round: int  # the number of earlier devices with the same story
    token: int
    start: int  # of the fleet
    minted_at: int
    now: int
    random: Random
    acts: list[Act] = field(default_factory=list)

    def on(self, days: float) -> int:
        """Returns an instant some days after the mint."""
        return self.minted_at + int(days * DAY) + self.random.randrange(DAY // 3)

    def field(self, fraction: float) -> int:
        """Returns an instant of the life in the field: 0 is 20 days after the mint, 1 two days ago."""
        begin, end = self.minted_at + 20 * DAY, self.now - 2 * DAY
        return begin + int(fraction * (end - begin)) + self.random.randrange(DAY // 3)

    def days_ago(self, days: float) -> int:
        return self.now - int(days * DAY) + self.random.randrange(DAY // 3)

    def test(self, kind: str, passed: bool, days: float, *, tested_at: int | None = None) -> None:
        at = self.on(days)
        station = self.random.choice(STATIONS[kind])
        tested = at - 600 if tested_at is None else tested_at
        self.acts.append(
            RecordTest(at=at, token=self.token, kind=kind, passed=passed, station=station, tested_at=tested)
        )

    def provision(self, days: float) -> None:
        at = self.on(days)
        self.acts.append(Provision(at=at, token=self.token, provisioned_at=at - 300))

    def made(self) -> None:
        """Plans passed tests of all kinds and the provisioning."""
        for kind, days in ((IN_CIRCUIT, 1), (MECHANICAL, 2), (QUALITY, 3)):
            self.test(kind, True, days)
        self.provision(5)

    def correct(self, attribute: str, value: str, days: float) -> None:
        self.acts.append(Correct(at=self.on(days), token=self.token, attribute=attribute, value=value))

    def reset_address(self, at: int, device: str) -> None:
        self.acts.append(ResetAddress(at=at, token=self.token, device=device))

    def authorize(
        self, at: int, organization: str, *, until: int = 0, permissions: int = READ, user: str | None = None
    ) -> str:
        """Grants an organization access, for ever without `until`. Returns the user's address."""
        user = user or account(organization)
        self.acts.append(
            Authorize(
                at=at,
                token=self.token,
                user=user,
                organization=organization,
                permissions=permissions,
                expires_at=until,
            )
        )
        return user

    def revoke(self, at: int, user: str) -> None:
        self.acts.append(Revoke(at=at, token=self.token, user=user))

    def reset(self, at: int, reason: int, by: str | None = None) -> None:
        self.acts.append(ResetDevice(at=at, token=self.token, reason=reason, by=by))

    def update(self, at: int, version: str, result: int = SUCCEEDED, by: str | None = None) -> None:
        self.acts.append(UpdateFirmware(at=at, token=self.token, to_version=version, result=result, by=by))

    def transfer(self, at: int) -> None:
        owner = account(OWNERS[(self.number + len(self.acts)) % len(OWNERS)] + " (buyer)")
        self.acts.append(TransferDevice(at=at, token=self.token, recipient=owner))

    def burn(self, at: int) -> None:
        self.acts.append(Burn(at=at, token=self.token))

    def end(self, at: int, process: int, sanitization: int) -> None:
        facility = self.random.choice(FACILITIES)
        self.acts.append(
            EndLife(at=at, token=self.token, process=process, facility=facility, sanitization=sanitization)
        )

    def upkeep(self, until: float = 1.0) -> None:
        """Plans a life in the field: an organization has access, and some releases are installed."""
        end = self.field(until)
        organization = self.random.choice(ORGANIZATIONS)
        self.authorize(
            self.field(0.01), organization, until=self.random.choice((0, self.field(0.5), self.now + 90 * DAY))
        )
        for day, version in RELEASES:
            at = self.start + day * DAY + self.random.randrange(20 * DAY)
            if not self.minted_at + 20 * DAY < at < end or self.random.random() < 0.5:
                continue
            result = self.random.choices((SUCCEEDED, FAILED, ROLLED_BACK), (88, 8, 4))[0]
            self.update(at, version, result)
