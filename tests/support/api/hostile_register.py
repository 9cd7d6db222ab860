"""A register in which every text that somebody wrote on chain is hostile."""

from tests.support.index.history import BEGAN, CONTRACT, History, log

ALICE, BOB, DEVICE, ZERO = ("0x" + byte * 20 for byte in ("a1", "b0", "de", "00"))
TOKEN = 2**255 + 7
DID = f"did:erc721:31337:0x{CONTRACT.hex()}:{TOKEN}"
HASH = bytes(32)
UINT64 = 2**64 - 1

SCRIPT = "<script>window.ran=1</script><img src=x onerror=window.ran=1>"
QUOTES = "\"'`><svg/onload=window.ran=1>{{7*7}}{%raw%}${7*7}"
OVERRIDE = "abc\u202egpj.exe\u2066\u200f שלום مرحبا"
INVISIBLE = "NUL\x00\x01\x1b[31m\r\n\t\x85\ufeff\u200b"
TALL = "Z" + "\u0301\u0302\u0489" * 100
WIDE = "W" * 9_000
EMOJI = "👩\u200d🔧🏳️\u200d🌈" * 500
SERIAL = SCRIPT + INVISIBLE + WIDE
SCHEMES = ("javascript:window.ran=1", "data:text/html,<script>window.ran=1</script>", "https://a.example/" + WIDE)
TEXTS = (SCRIPT, QUOTES, OVERRIDE, INVISIBLE, TALL, WIDE, EMOJI)


def build_hostile_register(url: str) -> None:
    """Indexes one device in a database, with each hostile text in each field of text over time."""
    history = History(url)
    history.block(
        log("ManufacturerLicensed", 1, ALICE, SCRIPT + WIDE, SCHEMES[0], HASH, UINT64),
        log("HardwareLicensed", 10, 1, QUOTES + WIDE, OVERRIDE, SCHEMES[1], HASH, 1),
        log("Transfer", ZERO, BOB, TOKEN),
        log("CertificateMinted", TOKEN, DEVICE, 1, 10, SERIAL, INVISIBLE + WIDE, UINT64, TALL + WIDE),
    )
    for index, text in enumerate(TEXTS):
        uri = SCHEMES[index % len(SCHEMES)]
        history.block(
            log("CertificateCorrected", TOKEN, text, text),
            log("InCircuitTestRecorded", TOKEN, False, BEGAN, text, uri, HASH),
            log("QualityInspectionRecorded", TOKEN, True, UINT64, text, uri, HASH),
            log("UserAuthorized", TOKEN, f"0x{index + 1:040x}", text, 2**256 - 1, UINT64),
            log("FirmwareUpdated", TOKEN, text, text, HASH, 200 + index, 0),
            log("FactoryReset", TOKEN, ALICE, BEGAN, 200 + index),
            log("EndOfLifeRecorded", TOKEN, 100 + index, BEGAN, text, 99, uri, HASH),
        )
    history.block(log("ManufacturerLicenseRevoked", 1, SCRIPT), log("HardwareLicenseRevoked", 10, OVERRIDE))
    history.close()
