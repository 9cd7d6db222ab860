"""A chain with the reference contract on it, small enough to read in a test."""

import json
from typing import Any

from scripts.devchain import CERTIFICATE, Anvil, Artifact, Contract, Refused, RpcError

__all__ = ["Anvil", "Artifact", "Contract", "Refused", "RpcError", "certificate_abi", "deploy_certificate"]


def deploy_certificate(chain: Anvil, *, mine: bool = False) -> Contract:
    """Deploy DeviceCertificate; the chain's first account is the registrar."""
    return Contract.deploy(chain, Artifact.read(), mine=mine)


def certificate_abi() -> list[dict[str, Any]]:
    abi: list[dict[str, Any]] = json.loads(CERTIFICATE.read_text())["abi"]
    return abi
