"""The committed artifact is compiled from the committed source, and has the documented interface."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartAnvil
from tests.support.chain.devchain import CERTIFICATE, REPOSITORY
from tests.support.chain.factory import Factory, certificate_abi, compile_solidity

SIGNATURES = """
Transfer(address indexed from, address indexed to, uint256 indexed tokenId)
ManufacturerLicensed(uint256 indexed manufacturerId, address indexed account, string name, string licenseURI, bytes32 licenseHash, uint64 expiresAt)
ManufacturerLicenseRevoked(uint256 indexed manufacturerId, string reason)
HardwareLicensed(uint256 indexed hardwareLicenseId, uint256 indexed manufacturerId, string model, string hardwareRevision, string licenseURI, bytes32 licenseHash, uint64 expiresAt)
HardwareLicenseRevoked(uint256 indexed hardwareLicenseId, string reason)
CertificateMinted(uint256 indexed tokenId, address indexed device, uint256 indexed manufacturerId, uint256 hardwareLicenseId, string serialNumber, string imei, uint64 manufacturedAt, string firmwareVersion)
CertificateCorrected(uint256 indexed tokenId, string attribute, string value)
DeviceAddressReset(uint256 indexed tokenId, address indexed device)
InCircuitTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash)
MechanicalTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash)
QualityInspectionRecorded(uint256 indexed tokenId, bool passed, uint64 inspectedAt, string inspector, string reportURI, bytes32 reportHash)
DeviceProvisioned(uint256 indexed tokenId, uint64 provisionedAt)
UserAuthorized(uint256 indexed tokenId, address indexed user, string organization, uint256 permissions, uint64 expiresAt)
UserRevoked(uint256 indexed tokenId, address indexed user)
FactoryReset(uint256 indexed tokenId, address indexed initiator, uint64 resetAt, uint8 reason)
FirmwareUpdated(uint256 indexed tokenId, string fromVersion, string toVersion, bytes32 imageHash, uint8 result, uint64 appliedAt)
EndOfLifeRecorded(uint256 indexed tokenId, uint8 indexed process, uint64 occurredAt, string facility, uint8 sanitization, string evidenceURI, bytes32 evidenceHash)
"""  # noqa: E501  # a signature is one line
ERC721_SIGNATURES = """
Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)
ApprovalForAll(address indexed owner, address indexed operator, bool approved)
"""


def test_the_contract_has_exactly_the_certificate_events_and_those_erc721_demands() -> None:
    events = {written(entry) for entry in certificate_abi() if entry["type"] == "event"}
    assert events == set(SIGNATURES.split("\n")[1:-1]) | set(ERC721_SIGNATURES.split("\n")[1:-1])


def test_compiling_the_source_again_gives_the_committed_artifact() -> None:
    assert compile_solidity(CERTIFICATE.with_suffix(".sol")) == json.loads(CERTIFICATE.read_text())


def test_another_source_gives_another_artifact(tmp_path: Path) -> None:
    changed = tmp_path / "DeviceCertificate.sol"
    shutil.copy(CERTIFICATE.with_suffix(".sol"), changed)
    changed.write_text(changed.read_text().replace("DISPOSED = 3", "DISPOSED = 4"))
    assert compile_solidity(changed)["bytecode"] != json.loads(CERTIFICATE.read_text())["bytecode"]


def test_a_source_that_does_not_compile_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "Broken.sol"
    broken.write_text(
        "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.30;\ncontract Broken { uint256 x = true; }\n"
    )
    with pytest.raises(RuntimeError, match=r"Broken\.sol:3"):
        compile_solidity(broken)


def test_the_compiler_is_the_one_that_package_json_pins() -> None:
    pinned = json.loads((REPOSITORY / "package.json").read_text())["devDependencies"]["solc"]
    assert json.loads(CERTIFICATE.read_text())["compiler"].startswith(f"{pinned}+")


def test_every_function_is_called_by_some_test() -> None:
    called = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    functions = {entry["name"] for entry in certificate_abi() if entry["type"] == "function"}
    assert {name for name in functions if f'"{name}' not in called} == set()


def test_a_chain_runs_what_is_committed_within_the_size_limit_of_public_chains(anvil: StartAnvil) -> None:
    chain = anvil()
    factory = Factory(chain)
    code = chain.request("eth_getCode", factory.contract.address, "latest")
    assert 0 < len(code) // 2 - 1 <= 24_576


def written(entry: dict[str, Any]) -> str:
    """Returns an event as the list above writes it."""
    arguments = ", ".join(
        " ".join([item["type"], *(["indexed"] if item["indexed"] else []), item["name"]]) for item in entry["inputs"]
    )
    return f"{entry['name']}({arguments})"
