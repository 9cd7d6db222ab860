"""Stories: what happens to a device. Together they show each section of a certificate, good and bad.

A story gives the time of an act as a fraction of the device's life in the field, so that it fits a device of any age.
If the manufacturer acts late in a story, the story is for manufacturers whose license never ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.fleet.acts import Correct, Provision
from tests.support.fleet.life import Life
from tests.support.fleet.names import (
    CLEAR,
    DAY,
    DECOMMISSIONED,
    DESTROY,
    DISPOSED,
    FAILED,
    IN_CIRCUIT,
    LICENSED_FOR_EVER,
    MAKERS,
    MANAGE_USERS,
    MECHANICAL,
    NONE,
    ORGANIZATIONS,
    OWNERSHIP_CHANGE,
    PURGE,
    QUALITY,
    READ,
    RECYCLED,
    RESET,
    ROLLED_BACK,
    SECURITY,
    SERVICE,
    UNSPECIFIED,
    UPDATE_FIRMWARE,
    UPDATE_SERVICE,
    USER_REQUEST,
    account,
    imei,
)

ANY_MAKER = tuple(maker.number for maker in MAKERS)
ONE, TWO = (1,), (5,)  # two manufacturers, for stories in pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`plan` adds the acts of the story to a life; `imei` and `serial_number` return unusual values for a round."""

    plan: Callable[[Life], None]
    makers: tuple[int, ...] = ANY_MAKER
    imei: Callable[[int], str] | None = None
    serial_number: Callable[[int], str] | None = None

    @property
    def name(self) -> str:
        return self.plan.__name__


def lives_an_ordinary_life(life: Life) -> None:
    life.made()
    life.upkeep()


def fails_in_circuit_and_is_repaired(life: Life) -> None:
    life.test(IN_CIRCUIT, False, 1)
    life.test(IN_CIRCUIT, True, 2)
    life.test(MECHANICAL, True, 3)
    life.test(QUALITY, True, 4)
    life.provision(6)
    life.upkeep()


def ships_with_a_failed_mechanical_test(life: Life) -> None:
    life.test(IN_CIRCUIT, True, 1)
    life.test(MECHANICAL, True, 2)
    life.test(MECHANICAL, False, 3)
    life.test(QUALITY, True, 4)
    life.provision(5)
    life.upkeep()


def ships_with_a_failed_inspection(life: Life) -> None:
    life.test(IN_CIRCUIT, True, 1)
    life.test(MECHANICAL, True, 2)
    life.test(QUALITY, False, 3)
    life.provision(5)
    life.upkeep()


def is_provisioned_before_its_inspection(life: Life) -> None:
    life.test(IN_CIRCUIT, True, 1)
    life.provision(2)
    life.test(QUALITY, True, 4)
    life.upkeep()


def is_provisioned_without_any_test(life: Life) -> None:
    life.provision(2)
    life.upkeep()


def waits_in_stock_untested(life: Life) -> None:
    """It has no acts after its mint."""


def carries_a_wrong_imei(life: Life) -> None:
    life.made()


def gets_its_imei_corrected(life: Life) -> None:
    life.correct("imei", imei("35209977", life.number), 1)
    life.made()
    life.upkeep()


def has_a_dev_eui_instead_of_an_imei(life: Life) -> None:
    life.correct("devEUI", f"70B3D57ED{life.number:07X}", 1)
    life.made()


def carries_nothing_but_an_address(life: Life) -> None:
    life.made()


def shares_its_serial_number(life: Life) -> None:
    life.made()
    life.upkeep()


def shares_its_imei(life: Life) -> None:
    life.made()


def gets_its_papers_corrected(life: Life) -> None:
    life.made()
    life.correct("serialNumber", f"REL-{life.number:06}", 6)
    life.correct("hardwareRevision", "B.2", 6.5)
    life.correct("manufacturedAt", str(life.minted_at - 40 * DAY), 7)
    life.correct("enclosure", "grey", 7.5)
    life.correct("enclosure", "signal red", 8)
    life.correct("antenna", "external", 8.5)
    life.correct("antenna", "", 9)
    life.correct("customs tariff", "8526.91.20", 9.5)


def updates_to_2_9_0(life: Life) -> None:
    life.made()
    life.update(life.field(0.2), "2.8.1")
    life.update(life.field(0.7), "2.9.0")
    life.update(life.field(0.8), "2.10.0", FAILED)
    life.update(life.field(0.9), "2.10.0", ROLLED_BACK)


def updates_to_2_10_0_by_a_service(life: Life) -> None:
    life.made()
    service = life.authorize(life.field(0.05), UPDATE_SERVICE, permissions=READ | UPDATE_FIRMWARE)
    life.update(life.field(0.4), "2.9.0", FAILED, by=service)
    life.update(life.field(0.45), "2.9.0", by=service)
    life.update(life.field(0.75), "2.10.0", by=service)


def runs_firmware_of_odd_names(life: Life) -> None:
    life.made()
    versions = ("v3.0.1", "3.1.0-rc.1+build.7", "2.10", "nightly 2025/06/31", "3.0.0-β", "4.0.0-alpha.beta")
    for place, version in enumerate(versions[: 1 + life.round % len(versions)]):
        life.update(life.field(0.3 + place / 10), version)


def reports_results_nobody_knows(life: Life) -> None:
    life.made()
    life.update(life.field(0.3), "2.0.0", 42)
    life.reset(life.field(0.5), 200)


def is_used_by_many_organizations(life: Life) -> None:
    life.made()
    user = life.authorize(life.field(0.05), ORGANIZATIONS[0], until=life.field(0.4))  # expired
    life.authorize(life.field(0.1), ORGANIZATIONS[1], until=life.now + 200 * DAY)
    life.authorize(life.field(0.15), ORGANIZATIONS[2])  # for ever
    life.authorize(life.field(0.2), ORGANIZATIONS[3], until=life.now + 30 * DAY)
    life.authorize(life.field(0.25), ORGANIZATIONS[4], permissions=(1 << 256) - 1)
    life.revoke(life.field(0.5), account(ORGANIZATIONS[3]))
    life.authorize(life.field(0.55), f"{ORGANIZATIONS[1]} Europe", until=0, user=account(ORGANIZATIONS[1]))  # replaced
    life.authorize(life.field(0.6), ORGANIZATIONS[5], until=life.now - DAY)  # expired yesterday
    life.authorize(life.field(0.65), ORGANIZATIONS[0], until=life.now + 5 * DAY, user=user)  # again, after expiry
    life.authorize(life.field(0.7), "", permissions=0)


def is_reset_by_an_authorized_user(life: Life) -> None:
    life.made()
    user = life.authorize(life.field(0.1), ORGANIZATIONS[6], permissions=READ | RESET | MANAGE_USERS)
    life.reset(life.field(0.3), SERVICE, by=user)
    life.reset(life.field(0.4), UNSPECIFIED)
    life.revoke(life.field(0.6), user)


def is_sold_twice(life: Life) -> None:
    life.made()
    life.authorize(life.field(0.05), ORGANIZATIONS[7])
    life.reset(life.field(0.3), OWNERSHIP_CHANGE)
    life.transfer(life.field(0.31))
    life.reset(life.field(0.6), OWNERSHIP_CHANGE)
    life.transfer(life.field(0.61))
    life.update(life.field(0.9), "2.10.0")


def is_reset_again_and_again(life: Life) -> None:
    life.made()
    life.reset(life.field(0.1), USER_REQUEST)
    for days in (25, 16, 9, 4)[life.round % 2 :]:
        life.reset(life.days_ago(days), SECURITY)


def was_reset_long_ago(life: Life) -> None:
    life.made()
    life.upkeep(0.5)
    for fraction in (0.2, 0.25, 0.3):
        life.reset(life.field(fraction), USER_REQUEST)
    life.reset(life.days_ago(12), SERVICE)


def gets_a_new_secure_element(life: Life) -> None:
    life.made()
    life.upkeep(0.4)
    life.reset_address(life.field(0.5), account(f"second element of {life.number}"))
    life.reset_address(life.field(0.8), account(f"third element of {life.number}"))


def gives_its_address_away(life: Life) -> None:
    life.made()
    life.reset_address(life.field(0.3), account(f"spare element {life.round}"))
    life.reset_address(life.field(0.5), account(f"newest element of {life.number}"))


def takes_over_an_address(life: Life) -> None:
    life.made()
    life.reset_address(life.days_ago(20), account(f"spare element {life.round}"))


def is_decommissioned(life: Life) -> None:
    life.made()
    life.upkeep(0.5)
    life.end(life.field(0.8), DECOMMISSIONED, life.round % 4)


def is_recycled_after_clearing(life: Life) -> None:
    life.made()
    life.upkeep(0.4)
    life.end(life.field(0.6), DECOMMISSIONED, NONE)
    life.reset(life.field(0.65), SECURITY)
    life.transfer(life.field(0.7))
    life.end(life.field(0.8), RECYCLED, CLEAR)


def is_disposed_of_properly(life: Life) -> None:
    life.made()
    user = life.authorize(life.field(0.1), ORGANIZATIONS[8])
    life.end(life.field(0.5), DECOMMISSIONED, PURGE)
    life.end(life.field(0.6), RECYCLED, NONE)
    life.end(life.field(0.7), DISPOSED, DESTROY)
    life.revoke(life.field(0.8), user)


def is_disposed_of_unsanitized(life: Life) -> None:
    life.made()
    life.upkeep(0.3)
    life.end(life.field(0.6), DISPOSED, NONE)


def is_recycled_by_an_unknown_method(life: Life) -> None:
    life.made()
    life.end(life.field(0.7), RECYCLED, 7)


def is_recycled_then_decommissioned(life: Life) -> None:
    life.made()
    life.end(life.field(0.6), RECYCLED, PURGE)
    life.end(life.field(0.7), DECOMMISSIONED, NONE)


def is_active_after_decommissioning(life: Life) -> None:
    life.made()
    life.end(life.field(0.5), DECOMMISSIONED, NONE)
    life.update(life.field(0.6), "2.9.0")
    life.authorize(life.field(0.7), ORGANIZATIONS[9])


def ends_in_a_way_nobody_knows(life: Life) -> None:
    life.made()
    life.end(life.field(0.7), 9, CLEAR)


def is_burned(life: Life) -> None:
    life.made()
    life.upkeep(0.4)
    life.burn(life.field(0.7))


def is_corrected_after_disposal(life: Life) -> None:
    life.made()
    life.end(life.field(0.5), DISPOSED, DESTROY)
    life.acts.append(Correct(at=life.field(0.6), token=life.token, attribute="imei", value=""))


def has_a_clock_of_its_own(life: Life) -> None:
    life.test(IN_CIRCUIT, True, 1, tested_at=life.now + 400 * DAY)
    life.test(QUALITY, True, 2, tested_at=(1 << 64) - 1)
    life.acts.append(Provision(at=life.on(4), token=life.token, provisioned_at=253_402_300_800))  # the year 10000


STORIES = (
    Story(plan=lives_an_ordinary_life),
    Story(plan=fails_in_circuit_and_is_repaired),
    Story(plan=updates_to_2_9_0),
    Story(plan=is_used_by_many_organizations),
    Story(plan=is_decommissioned),
    Story(plan=ships_with_a_failed_inspection),
    Story(plan=carries_a_wrong_imei, imei=lambda round: ("49015420323751", "490154203237519", "n/a")[round % 3]),
    Story(plan=is_sold_twice),
    Story(plan=is_reset_again_and_again),
    Story(plan=updates_to_2_10_0_by_a_service),
    Story(plan=is_active_after_decommissioning),
    Story(plan=gets_a_new_secure_element, makers=LICENSED_FOR_EVER),
    Story(plan=is_burned),
    Story(plan=lives_an_ordinary_life),
    Story(plan=ships_with_a_failed_mechanical_test),
    Story(plan=is_provisioned_before_its_inspection),
    Story(plan=is_provisioned_without_any_test),
    Story(plan=gets_its_imei_corrected, imei=lambda round: f"35209977 0000{round % 10}"),
    Story(plan=shares_its_serial_number, makers=ONE, serial_number=lambda round: f"SHARED-{round:04}"),
    Story(plan=shares_its_serial_number, makers=TWO, serial_number=lambda round: f"SHARED-{round:04}"),
    Story(plan=shares_its_imei, imei=lambda round: imei("99000011", round)),
    Story(plan=shares_its_imei, imei=lambda round: f"{(text := imei('99000011', round))[:8]}-{text[8:14]} {text[14:]}"),
    Story(plan=gets_its_papers_corrected),
    Story(plan=runs_firmware_of_odd_names),
    Story(plan=lives_an_ordinary_life),
    Story(plan=is_reset_by_an_authorized_user),
    Story(plan=was_reset_long_ago),
    Story(plan=gives_its_address_away, makers=LICENSED_FOR_EVER),
    Story(plan=takes_over_an_address, makers=LICENSED_FOR_EVER),
    Story(plan=is_recycled_after_clearing),
    Story(plan=is_disposed_of_properly),
    Story(plan=is_disposed_of_unsanitized),
    Story(plan=lives_an_ordinary_life),
    Story(plan=is_recycled_by_an_unknown_method),
    Story(plan=is_recycled_then_decommissioned),
    Story(plan=ends_in_a_way_nobody_knows),
    Story(plan=is_corrected_after_disposal, makers=LICENSED_FOR_EVER),
    Story(plan=reports_results_nobody_knows),
    Story(plan=has_a_dev_eui_instead_of_an_imei, imei=lambda round: ""),
    Story(plan=carries_nothing_but_an_address, imei=lambda round: "", serial_number=lambda round: ""),
    Story(plan=has_a_clock_of_its_own),
    Story(plan=waits_in_stock_untested),
)
