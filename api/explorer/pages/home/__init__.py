"""`/`: the search, how far the index is, what the register holds, and what happens."""

from dataclasses import dataclass
from typing import Any

from api.explorer.charts import shares
from api.explorer.page import Json, Page
from api.explorer.production import counts_of, mints
from api.explorer.visit import Visit

VERSIONS = 6
"""Firmware versions that are listed; the rest is one line."""

FINDINGS = {
    "unlicensed": ("Minted without a valid manufacturer license", "manufacturerLicensedAtMint"),
    "unlicensedHardware": ("Minted without a valid hardware license", "hardwareLicensedAtMint"),
    "malformedImei": ("IMEI is not valid", "imeiValid"),
    "failedInspection": ("Failed the last quality inspection", "qualityInspectionPassed"),
    "uninspected": ("Provisioned before a passed inspection", "provisionedAfterQuality"),
    "activeAfterEnd": ("Active after end of life", "noActivityAfterEndOfLife"),
    "unsanitized": ("Recycled or disposed of unsanitized", "sanitizedBeforeDisposal"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs attention: how many devices, and the list of them."""

    text: str
    count: int
    href: str


def view(data: Json, visit: Visit) -> dict[str, Any]:
    findings = [
        Finding(text, data[name]["totalCount"], visit.link("/devices", fails=check))
        for name, (text, check) in FINDINGS.items()
        if data[name]["totalCount"]
    ]
    return {
        "months": mints(data["months"], visit),
        "states": shares(counts_of(data["states"]), 5),
        "versions": shares(counts_of(data["firmware"]), VERSIONS),
        "findings": sorted(findings, key=lambda finding: -finding.count),
    }


HOME = Page(path="/", name="home", view=view, counts_register=True)
