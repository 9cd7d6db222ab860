"""A simulated DIMO network: makers and their licenses, and devices in every flow, with events in real order.

Each act emits its events on the stage and applies their effect to the world. The year determines the shapes of the
events, as in the real network.
"""

from collections.abc import Callable
from copy import deepcopy
from random import Random

from tests.support.dimo.stage import Line, Stage
from tests.support.dimo.world import NOBODY, Maker, Paper, Unit, World

YEARS = ("2022", "2023", "2025", "today")
DAY = 86_400
FAR = 2**255
WORDS = ("Serial", "IMEI", "DevEUI", "HardwareRevision", "DefinitionURI", "Color")


class Network:
    """`time` is the time of the next block. After a revert of the chain, the caller must restore `world` too."""

    def __init__(self, stage: Stage, *, seed: int, began: int) -> None:
        self.stage = stage
        self.time = began
        self.year = YEARS[0]
        self.world = World()
        self.random = Random(seed)
        self.people = [f"0x{self.random.getrandbits(160):040x}" for _ in range(12)]
        self.traffic = Random(seed + 1)
        self._numbers = 0

    def mine(self) -> int:
        """Mines the pending transactions and lets some hours pass."""
        number = self.stage.mine(self.time)
        self.world.end_block()
        self.time += self.random.randrange(3_600, 3 * DAY)
        return number

    def copy(self) -> World:
        return deepcopy(self.world)

    # Manufacturers and licenses

    def mint_maker(self, number: int, *, licensed: bool) -> None:
        owner = f"0x{0xFAC000 + number:040x}"
        maker = Maker(number=number, true_name=f"Maker {number}", owner=owner)
        self.world.makers[number] = maker
        if licensed:
            self.grant_paper(owner)
        minted = "mintManufacturerIn2022" if self.year == "2022" else "mintManufacturer"
        if self.year != "2022":
            maker.name = maker.true_name
        self.stage.play(
            ("manufacturer", "transfer", NOBODY, owner, number),
            ("registry", minted, maker.true_name, number, owner),
            ("registry", "setManufacturerAttribute", number, "Site", "https://maker.example"),
        )

    def grant_paper(self, holder: str) -> None:
        number = len(self.world.papers) + 1
        self.world.papers[number] = Paper(number, holder)
        self.stage.play(
            ("stake", "transfer", NOBODY, holder, number),
            ("stake", "mintLicense", holder, number),
        )

    def revoke_paper(self, paper: Paper) -> None:
        paper.revoked = True
        calls: list[Line] = [
            ("stake", "revokeLicense", paper.number),
            ("stake", "transfer", paper.holder, NOBODY, paper.number),
        ]
        self.stage.play(*(calls if self.random.random() < 0.5 else calls[::-1]))

    def move_paper(self, paper: Paper, holder: str) -> None:
        self.stage.play(("stake", "transfer", paper.holder, holder, paper.number))
        paper.holder = holder

    def move_maker(self, maker: Maker, owner: str) -> None:
        self.stage.play(("manufacturer", "transfer", maker.owner, owner, maker.number))
        maker.owner = owner
        maker.privileges.clear()

    # Devices: the manufacturer's side

    def mint(self) -> Unit:
        maker = self.random.choice(list(self.world.makers.values()))
        token = len(self.world.units) + 1
        unit = self._born(token, self._fresh_address(), maker.number)
        unit.owner = maker.owner
        attributes = {"Serial": f"SN-{token:05}", "IMEI": f"35{token:013}", "HardwareRevision": "7.2"}
        if self.random.random() < 0.2:
            attributes = {"Serial": f"LORA-{token}", "DevEUI": f"70B3D57ED{token:07}"}
        set_attributes = [self._attribute(unit, name, value) for name, value in attributes.items()]
        minted = self._minted(unit, maker)
        # in 2022 and 2023 the attributes came before the mint
        parts = [*set_attributes, minted] if self.year in ("2022", "2023") else [minted, *set_attributes]
        self.stage.play(("aftermarket_device", "transfer", NOBODY, maker.owner, token), *parts)
        return unit

    def correct(self, unit: Unit) -> None:
        name = self.random.choice(WORDS)
        self.stage.play(
            ("registry", "addDeviceAttribute", name),
            self._attribute(unit, name, self.random.choice(["", f"{name} {self._number()}"])),
        )

    def reset(self, unit: Unit) -> None:
        """Gives the device another address, sometimes one that it had before."""
        former = [address for address in unit.addresses if address != unit.address]
        address = self.random.choice(former) if former and self.random.random() < 0.8 else self._fresh_address()
        unit.resets += 1
        unit.address = address
        self.stage.play(("registry", "resetDevice", unit.true_manufacturer, unit.token, address))

    def burn(self, unit: Unit) -> None:
        lines = self._unpairing(unit)
        owner = unit.owner
        unit.burn(self.time)
        burned = "burnDeviceIn2023" if self.year == "2023" else "burnDevice"
        self.stage.play(
            *lines,
            ("aftermarket_device", "transfer", owner, NOBODY, unit.token),
            ("registry", burned, unit.token, owner),
        )

    def reprovision(self, old: Unit) -> None:
        """Burns a device and mint another of the same address in one transaction."""
        maker = self.world.makers[old.true_manufacturer]
        lines = self._unpairing(old)
        owner = old.owner
        lines += [
            ("aftermarket_device", "transfer", owner, NOBODY, old.token),
            ("registry", "burnDevice", old.token, owner),
        ]
        old.burn(self.time)
        new = self._born(len(self.world.units) + 1, old.address, maker.number)
        new.owner, new.predecessor = maker.owner, old.token
        lines += [
            ("aftermarket_device", "transfer", NOBODY, maker.owner, new.token),
            self._minted(new, maker),
        ]
        for name, value in (("Serial", old.serial), ("IMEI", old.imei)):
            if value:
                lines += [self._attribute(old, name, ""), self._attribute(new, name, value)]
        self.stage.play(*lines)

    # Devices: the owner's side

    def claim(self, unit: Unit) -> None:
        claimant, former = self._person(), unit.owner
        unit.beneficiary = None
        unit.give(claimant)
        unit.claimed_at = unit.provisioned_at = self.time
        self.stage.play(
            ("registry", "setBeneficiary", self.stage.address("aftermarket_device"), unit.token, NOBODY),
            ("aftermarket_device", "transfer", former, claimant, unit.token),
            ("registry", "claimDevice", unit.token, claimant),
        )

    def unclaim(self, unit: Unit) -> None:
        """Unclaims as an administrator does: the owner stays."""
        unit.claimed_at = None
        unclaimed = "unclaimDeviceIn2023" if self.year == "2023" else "unclaimDevice"
        self.stage.play(("registry", unclaimed, unit.token))

    def return_to_maker(self, unit: Unit) -> None:
        lines = self._unpairing(unit)
        owner, home = unit.owner, self.world.makers[unit.true_manufacturer].owner or NOBODY
        unit.claimed_at = unit.beneficiary = None
        unit.give(home)
        self.stage.play(
            *lines,
            ("registry", "returnDevice", unit.token, owner),
            ("registry", "setBeneficiary", self.stage.address("aftermarket_device"), unit.token, NOBODY),
            ("aftermarket_device", "transfer", owner, home, unit.token),
        )

    def transfer(self, unit: Unit) -> None:
        former, unit_owner = unit.owner, self._person()
        unit.give(unit_owner)
        calls: list[Line] = [("aftermarket_device", "transfer", former, unit_owner, unit.token)]
        if self.random.random() < 0.3:
            function = "tellTransferIn2023" if self.year == "2023" else "tellTransfer"
            calls.append(("registry", function, unit.token, former, unit_owner))
        self.stage.play(*calls)

    def pair(self, unit: Unit) -> None:
        taken = {unit.vehicle for unit in self.world.living()}
        free = [vehicle for vehicle in self.world.vehicles.values() if vehicle.owner and vehicle.token not in taken]
        if not free:
            return
        vehicle = self.random.choice(free)
        unit.vehicle, unit.paired_at = vehicle.token, self.time
        # the event names the vehicle's owner
        self.stage.play(("registry", "pairDevice", unit.token, unit.vehicle, vehicle.owner))

    def unpair(self, unit: Unit) -> None:
        vehicle = unit.vehicle or 0  # an administrator may unpair a device that is not paired
        unit.vehicle = unit.paired_at = None
        if self.random.random() < 0.1:
            self.stage.play(("registry", "pairDevice", unit.token, 0, unit.owner))
        else:
            self.stage.play(("registry", self._unpaired(), unit.token, vehicle, unit.owner))

    def set_beneficiary(self, unit: Unit) -> None:
        beneficiary = self.random.choice([NOBODY, self._person()])
        unit.beneficiary = None if beneficiary == NOBODY else beneficiary
        self.stage.play(
            ("registry", "setBeneficiary", self.stage.address("aftermarket_device"), unit.token, beneficiary),
            ("registry", "setBeneficiary", self.stage.address("vehicle"), unit.token, self._person()),
        )

    def set_privilege(self, unit: Unit) -> None:
        user, scope = self._person(), self.random.randrange(1, 4)
        expires = self.random.choice([0, self.time + DAY, self.time + 400 * DAY, self.time - 1, FAR])
        if expires:
            unit.privileges[user, str(scope)] = expires
        else:
            unit.privileges.pop((user, str(scope)), None)
        function = "setPrivilegeIn2022" if self.year == "2022" else "setPrivilege"
        self.stage.play(("aftermarket_device", function, unit.token, 1, scope, user, expires))

    def set_permissions(self, unit: Unit) -> None:
        user = self._person()
        if self.year == "today" and self.random.random() < 0.25:
            unit.permissions.pop(user, None)
            self.stage.play(("sacd", "renouncePermissions", self.stage.address("aftermarket_device"), unit.token, user))
            return
        permissions = self.random.choice([0, 0b1100, 0b11_11_00])
        end = self.random.choice([0, self.time + 30 * DAY, FAR])
        unit.permissions[user] = (permissions, end, f"ipfs://{self._number()}")
        devices = self.stage.address("aftermarket_device")
        self.stage.play(self.permitted(devices, unit.token, user, *unit.permissions[user]))

    # Random acts

    def live(self) -> None:
        """Carries out one random act."""
        units = self.world.living()
        act = self.random.choices([act for act, _ in ACTS], weights=[weight for _, weight in ACTS])[0]
        act(self, self.random.choice(units))

    def act_on_others(self, _: Unit) -> None:
        """Carries out an act on a maker, a license or a vehicle."""
        papers = list(self.world.papers.values())
        maker = self.random.choice(list(self.world.makers.values()))
        acts: list[Callable[[], None]] = [lambda: self.move_maker(maker, maker.owner or NOBODY)]
        valid = [paper for paper in papers if not paper.revoked]
        if valid and len(self.world.units) > 60:
            paper = self.random.choice(valid)
            others = [f"0x{0xFAC000 + other:040x}" for other in self.world.makers]
            acts += [
                lambda: self.revoke_paper(paper),
                lambda: self.move_paper(paper, self.random.choice(others)),
                lambda: self.grant_paper(maker.owner or NOBODY),
                lambda: self.move_maker(maker, self.random.choice(others)),
            ]
        self.random.choice(acts)()

    def _person(self) -> str:
        return self.random.choice(self.people)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _fresh_address(self) -> str:
        return f"0x{0xDE << 152 | self._number():040x}"

    def _born(self, token: int, address: str, maker: int) -> Unit:
        unit = Unit(token=token, address=address, true_manufacturer=maker, minted_at=self.time)
        self.world.units[token] = unit
        return unit

    def _minted(self, unit: Unit, maker: Maker) -> Line:
        minted = "mintDeviceIn2022" if self.year == "2022" else "mintDevice"
        if self.year != "2022":
            unit.manufacturer = maker.number
            unit.license_at_mint = self.world.license_of(maker)
        devices = self.stage.address("aftermarket_device")
        return ("registry", minted, devices, maker.number, unit.token, unit.address, maker.owner)

    def _attribute(self, unit: Unit, name: str, value: str) -> Line:
        unit.set_attribute(name, value)
        function = {"2023": "setDeviceAttributeIn2023", "2025": "setDeviceAttributeIn2025"}.get(self.year)
        return ("registry", function or "setDeviceAttribute", unit.token, name, value)

    def _unpaired(self) -> str:
        years = {"2022": "unpairDeviceIn2022", "2023": "unpairDeviceIn2023", "2025": "unpairDeviceIn2025"}
        return years.get(self.year, "unpairDevice")

    def _unpairing(self, unit: Unit) -> list[Line]:
        if unit.vehicle is None:
            return []
        line = ("registry", self._unpaired(), unit.token, unit.vehicle, unit.owner)
        unit.vehicle = unit.paired_at = None
        return [line]

    def permitted(self, asset: str, token: int, user: str, permissions: int, end: int, source: str) -> Line:
        if self.year == "today":
            return ("sacd", "setPermissions", asset, token, permissions, user, end, 3, source)
        return ("sacd", "setPermissionsIn2022", asset, token, permissions, user, end, source)


ACTS: list[tuple[Callable[[Network, Unit], None], int]] = [
    (Network.claim, 16),
    (Network.unclaim, 3),
    (Network.return_to_maker, 4),
    (Network.transfer, 8),
    (Network.pair, 14),
    (Network.unpair, 8),
    (Network.set_beneficiary, 6),
    (Network.set_privilege, 14),
    (Network.set_permissions, 14),
    (Network.correct, 6),
    (Network.reset, 6),
    (Network.burn, 2),
    (Network.reprovision, 3),
    (Network.act_on_others, 12),
]
