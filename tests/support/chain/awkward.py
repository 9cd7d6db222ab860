"""Events with texts, numbers and times that databases sort, compare or store differently."""

from tests.support.chain.fakechain import Log, emitted

OWNERS = ["0x" + digit * 40 for digit in "123"]
USERS = ["0x" + digit * 40 for digit in "abc"]
TEXTS = [
    "",
    "A",
    "a",
    "B",
    "Ä",
    "ä",
    "ß",
    "A\0B",
    "A'B%_\\",
    "x" * 200,
    "x" * 201,
    "\U0001f600",
    " A",
    "A B",
    "\uffff",
    "_",
]
IMEIS = ["", "490154203237518", "49-015420-323751 8", "123", "490154203237519"]
VERSIONS = ["", "1.0.0", "v1.0.0", "1.0.0-rc.1", "1.0.0-rc.11", "1.0.0+b", "2.9.0", "2.10.0", "nightly", "2.10", "Ä"]
SECONDS = [0, 1, 1_600_000_000, 253_402_300_799, 253_402_300_800, 2**63, 2**64 - 1]


def life(token: int) -> list[Log]:
    """Returns a device's events: each kind in every seventh device or so, each value in one."""
    mint = emitted("CertificateMinted", tokenId=token, manufacturerId=1 + token % 4, hardwareLicenseId=token % 5,
                   device=(token % 40 + 1).to_bytes(20), serialNumber=TEXTS[token % len(TEXTS)],
                   imei=IMEIS[token % len(IMEIS)], manufacturedAt=SECONDS[token % len(SECONDS)],
                   firmwareVersion=VERSIONS[token % len(VERSIONS)])  # fmt: skip
    others = [
        emitted("QualityInspectionRecorded", tokenId=token, passed=token % 4 == 1, inspectedAt=SECONDS[token % 7]),
        emitted("UserAuthorized", tokenId=token, user=USERS[token % 3], organization=TEXTS[token % 16],
                permissions=2**256 - token, expiresAt=[0, 1_700_000_100, 2**64 - 1][token % 3]),
        emitted("FirmwareUpdated", tokenId=token, toVersion=VERSIONS[(token + 3) % 11], result=token % 5),
        emitted("FactoryReset", tokenId=token, reason=token % 8, resetAt=SECONDS[token % 7]),
        emitted("CertificateCorrected", tokenId=token, attribute=TEXTS[token % 16], value=TEXTS[(token + 1) % 16]),
        emitted("EndOfLifeRecorded", tokenId=token, process=token % 6, sanitization=token % 7, facility="Ä"),
        emitted("UserRevoked", tokenId=token, user=USERS[token % 3]),
        emitted("Transfer", **{"from": OWNERS[token % 3]}, to=OWNERS[(token + 1) % 3], tokenId=token),
        emitted("CertificateCorrected", tokenId=token, attribute="devEUI", value=TEXTS[token % 16]),
    ]  # fmt: skip
    chosen = [log for index, log in enumerate(others) if (token >> index % 6) & 1]
    return [emitted("Transfer", to=OWNERS[token % 3], tokenId=token), mint, *chosen] if token % 9 else chosen


def licenses() -> list[Log]:
    makers = [
        emitted("ManufacturerLicensed", manufacturerId=number, account=OWNERS[0], name=name, expiresAt=1_700_000_050)
        for number, name in enumerate(["b", "B", "ä", "", "é"], start=1)
    ]
    models = [emitted("HardwareLicensed", hardwareLicenseId=n, manufacturerId=1, model=TEXTS[n]) for n in range(4)]
    return [*makers, *models, emitted("HardwareLicenseRevoked", hardwareLicenseId=2, reason="x")]
