"""`/`: the search, how far the index is, what the register holds, and what happens."""

from dataclasses import dataclass
from typing import Any

from api.explorer.charts import Bar, bars, months_between, shares
from api.explorer.page import Json, Page
from api.explorer.values import month
from api.explorer.visit import Visit

MONTHS = 24
"""Months of the chart of mints."""

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
        "months": _months(_counts(data["months"]), f"{visit.clock:%Y-%m}"),
        "states": shares(_counts(data["states"]), 5),
        "versions": shares(_counts(data["firmware"]), VERSIONS),
        "findings": sorted(findings, key=lambda finding: -finding.count),
    }


def _counts(statistics: list[Json]) -> list[tuple[str | None, int]]:
    return [(row["keys"][0]["value"], row["count"]) for row in statistics]


def _months(counts: list[tuple[str | None, int]], now: str) -> list[Bar]:
    by_month = {name: count for name, count in counts if name}
    months = list(months_between(min([*by_month, now]), max([*by_month, now])))[-MONTHS:]
    return bars([(month(name), by_month.get(name, 0)) for name in months])


HOME = Page(path="/", name="home", view=view)
