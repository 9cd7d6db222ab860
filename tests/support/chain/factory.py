"""The reference contract on a development chain, with one licensed manufacturer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.chain.devchain import CERTIFICATE, REPOSITORY, Anvil, Artifact, Contract, Refused, RpcError

__all__ = ["Anvil", "Artifact", "Contract", "Factory", "Refused", "RpcError", "certificate_abi", "compile_solidity"]

ZERO_ADDRESS = "0x" + "00" * 20
BASE_URI = "https://certificates.example/"
HASH = bytes(range(32))
DAY = 86_400


class Factory:
    """The contract with manufacturer 1 and its hardware license 10 (neither expires), on a chain that mines at once.

    The first accounts of the chain are the registrar, the maker, the owner of minted devices, a user and a stranger.
    """

    def __init__(self, chain: Anvil) -> None:
        self.chain = chain
        self.contract = Contract.deploy(chain, Artifact.read(), BASE_URI)
        self.registrar, self.maker, self.owner, self.user, self.stranger = chain.accounts[:5]
        self.send("licenseManufacturer", 1, self.maker, "Acme", "ipfs://acme", HASH, 0, sender=self.registrar)
        self.send("licenseHardware", 10, 1, "Tracker", "B", "ipfs://tracker", HASH, 0, sender=self.registrar)

    def mint(self, **changes: Any) -> int:
        """Mints one device to the owner and returns its token id."""
        self.send("mint", 1, self.owner, mint_request(**changes), sender=self.maker)
        return int(self.call("totalMinted"))

    def send(self, name: str, *arguments: Any, sender: str | None = None) -> dict[str, Any]:
        """Sends a transaction, by default as the owner, and returns the receipt. Raises Refused."""
        return self.contract.send(name, *arguments, sender=sender or self.owner)

    def call(self, name: str, *arguments: Any) -> Any:
        return self.contract.call(name, *arguments)

    def read(self, name: str, *arguments: Any) -> dict[str, Any]:
        """Returns the struct that a getter returns, by field name."""
        outputs = self.contract.function(name, len(arguments))["outputs"]
        fields = [part["name"] for part in outputs[0]["components"]]
        return dict(zip(fields, self.call(name, *arguments), strict=True))

    def events(self, receipt: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Returns the names and arguments of the events in a receipt."""
        return [self.contract.event(log) for log in receipt["logs"]]


def mint_request(**changes: Any) -> tuple[Any, ...]:
    """Returns a MintRequest. Device address and serial number are derived from `number` (default 1)."""
    number = changes.pop("number", 1)
    request = {
        "device": f"0x{number:040x}",
        "hardware_license_id": 10,
        "serial_number": f"SN-{number:06}",
        "imei": "490154203237518",
        "manufactured_at": 1_700_000_000,
        "firmware_version": "1.0.0",
    }
    return tuple((request | changes).values())


def report(passed: bool = True, tested_at: int = 1_700_000_100) -> tuple[Any, ...]:
    return (passed, tested_at, "station 7", "ipfs://report", HASH)


def end_of_life_step(process: int, sanitization: int = 0, occurred_at: int = 1_700_000_200) -> tuple[Any, ...]:
    return (process, occurred_at, "plant 3", sanitization, "ipfs://evidence", HASH)


def certificate_abi() -> list[dict[str, Any]]:
    abi: list[dict[str, Any]] = json.loads(CERTIFICATE.read_text())["abi"]
    return abi


def compile_solidity(source: Path) -> dict[str, Any]:
    """Compiles with the repository's compiler and settings, as scripts/compile-contract does."""
    beside_python = Path(sys.executable).parent / "node"  # where setup puts Node.js if the machine has none
    node = str(beside_python) if beside_python.exists() else shutil.which("node")
    if node is None:
        raise FileNotFoundError("no Node.js. Set it up: ./scripts/setup")
    command = [node, str(REPOSITORY / "scripts" / "compile-contract"), "--print", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    artifact: dict[str, Any] = json.loads(done.stdout)
    return artifact
