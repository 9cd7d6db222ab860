"""The simulated DIMO network: the state that should result from each act, kept without code of the product."""

from dataclasses import dataclass, field

NOBODY = "0x" + "00" * 20

GrantKey = tuple[str, str, str]
"""User, source, scope."""


@dataclass
class Granting:
    """What grants are on. A privilege has its last second, a permission its bits, its end and the agreement's URI."""

    privileges: dict[tuple[str, str], int] = field(default_factory=dict)
    permissions: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def grants(self, clock: int) -> dict[GrantKey, int | None]:
        """Returns the grants in force at an instant: permissions by user, source and scope."""
        privileged = {
            (user, "privilege", scope): None for (user, scope), last in self.privileges.items() if last >= clock
        }
        permitted = {
            (user, "sacd", ""): permissions
            for user, (permissions, end, _) in self.permissions.items()
            if permissions and end > clock
        }
        return {**privileged, **permitted}


@dataclass(kw_only=True)
class Vehicle(Granting):
    """Times are block times in unix seconds."""

    token: int
    owner: str | None
    manufacturer: int | None = None
    definition: str | None = None
    minted_at: int
    burned_at: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def give(self, owner: str | None) -> None:
        """Transfers or burns the vehicle. This voids privileges and permissions."""
        self.owner = owner
        self.privileges.clear()
        self.permissions.clear()


@dataclass(kw_only=True)
class Synthetic(Granting):
    """A synthetic device. A transfer or burn voids privileges, not permissions."""

    token: int
    owner: str | None
    address: str
    vehicle: int
    connection: int
    minted_at: int
    burned_at: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def give(self, owner: str | None) -> None:
        self.owner = owner
        self.privileges.clear()


@dataclass(kw_only=True)
class Unit(Granting):
    """An aftermarket device. Times are block times in unix seconds."""

    token: int
    address: str
    true_manufacturer: int
    minted_at: int
    manufacturer: int | None = None
    license_at_mint: str = "UNKNOWN"
    owner: str | None = None
    addresses: list[str] = field(default_factory=list)
    serial: str | None = None
    imei: str | None = None
    dev_eui: str | None = None
    revision: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    claimed_at: int | None = None
    provisioned_at: int | None = None
    beneficiary: str | None = None
    vehicle: int | None = None
    paired_at: int | None = None
    burned_at: int | None = None
    resets: int = 0
    predecessor: int | None = None

    def set_attribute(self, name: str, value: str) -> None:
        if name in NAMED:
            setattr(self, NAMED[name], value or None)
        elif value:
            self.attributes[name] = value
        else:
            self.attributes.pop(name, None)

    def give(self, owner: str) -> None:
        """Transfers the device. This voids privileges, not permissions."""
        self.owner = owner
        self.privileges.clear()

    def burn(self, time: int) -> None:
        self.owner = self.claimed_at = self.vehicle = self.paired_at = self.beneficiary = None
        self.burned_at = time
        self.privileges.clear()


NAMED = {"Serial": "serial", "IMEI": "imei", "DevEUI": "dev_eui", "HardwareRevision": "revision"}


@dataclass(kw_only=True)
class Maker(Granting):
    """A manufacturer. `name` is the name in its events, `true_name` the one in the contract's state."""

    number: int
    true_name: str
    name: str | None = None
    owner: str | None = None


@dataclass
class Paper:
    """A license NFT and its last holder."""

    number: int
    holder: str
    revoked: bool = False


@dataclass
class World:
    units: dict[int, Unit] = field(default_factory=dict)
    makers: dict[int, Maker] = field(default_factory=dict)
    papers: dict[int, Paper] = field(default_factory=dict)
    vehicles: dict[int, Vehicle] = field(default_factory=dict)
    synthetics: dict[int, Synthetic] = field(default_factory=dict)
    accounts: dict[str, Granting] = field(default_factory=dict)

    def end_block(self) -> None:
        """Records each device's address at the end of a block."""
        for unit in self.units.values():
            if unit.addresses[-1:] != [unit.address]:
                unit.addresses.append(unit.address)

    def license_of(self, maker: Maker) -> str:
        """Returns the license status of a manufacturer: that of its owner's license NFTs."""
        papers = [paper for paper in self.papers.values() if maker.owner is not None and paper.holder == maker.owner]
        if not papers:
            return "NONE"
        return "VALID" if any(not paper.revoked for paper in papers) else "REVOKED"

    def connected(self, vehicle: int) -> Synthetic | None:
        """Returns the synthetic device of a vehicle."""
        living = [device for device in self.synthetics.values() if device.vehicle == vehicle and not device.burned_at]
        return living[0] if living else None

    def paired(self, vehicle: int) -> Unit | None:
        """Returns the device that is paired with a vehicle."""
        return next((unit for unit in self.living() if unit.vehicle == vehicle), None)

    def living(self) -> list[Unit]:
        return [unit for unit in self.units.values() if unit.burned_at is None]
