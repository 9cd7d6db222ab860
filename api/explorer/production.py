"""What a manufacturer or a model produces: mints a month, and how often tests and updates fail."""

from dataclasses import dataclass
from typing import Any

from api.explorer.charts import Bar, Rate, bars, rates, recent_months
from api.explorer.page import Json
from api.explorer.problems import Problem, WayOut, not_found
from api.explorer.values import month
from api.explorer.visit import Visit

ACTIVITIES = {
    "IN_CIRCUIT_TEST": "In-circuit tests",
    "MECHANICAL_TEST": "Mechanical tests",
    "QUALITY_INSPECTION": "Quality inspections",
    "FIRMWARE_UPDATE": "Firmware updates",
}


@dataclass(frozen=True, slots=True)
class ActivityRate:
    """An activity that may fail: how often it was recorded, how often it failed, and both by month."""

    activity: str
    text: str
    count: int
    failed: int
    months: list[Rate]


EVENTS = 25


def production_variables(visit: Visit, thing: str, key: str, filter: str) -> Json:
    """Returns the variables of a page. `key` and `filter` are the names of the id in its own filter and in others.

    If several have the id, the parameters `chain` and `contract` choose one.
    """
    id, chain, contract = {"eq": id_of(visit, thing)}, visit.parameter("chain"), visit.parameter("contract")
    on_chain: Json = {"chainId": {"eq": chain}} if chain else {}
    return {
        "key": {key: id, **on_chain, **({"contract": {"eq": contract}} if contract else {})},
        "devices": {filter: id, **on_chain},
        "events": {filter: id, **on_chain},
        **visit.page_of(EVENTS),
    }


def id_of(visit: Visit, thing: str) -> str:
    """Returns the id in the path of a manufacturer or a model. Raises Problem."""
    key = visit.keys["id"]
    if key.isascii() and key.isdigit() and len(key) <= 78 and int(key) < 2**256:
        return key
    raise visit.misnamed(key, f"the id of a {thing}", f"is not the id of a {thing}, which is a number.")


def require(rows: list[Json], named: list[Json], visit: Visit, thing: str) -> Json:
    """Returns the row of an answer. Raises Problem if there is none, or if several are `named` by the address."""
    key = visit.keys["id"]
    if len(named) > 1:
        message = f"Each contract counts its own. {len(named)} of them have a {thing} {key}."
        raise Problem(300, f"Which {thing} {key}?", message, [_one_of(row, visit) for row in named])
    if rows:
        return rows[0]
    if visit.as_of:
        way_out = WayOut("Show it now", visit.now_href)
        raise not_found(f"There was no {thing} {key} at that point. It may have been licensed later.", way_out, key)
    raise not_found(f"There is no {thing} {key} in this register.", query=key)


def _one_of(row: Json, visit: Visit) -> WayOut:
    name = row.get("name") or row.get("model") or "unnamed"
    href = visit.here(chain=row["chainId"], contract=row["contract"])
    return WayOut(f"{name[:80]}, contract {row['contract']} on network {row['chainId']}", href)


def counts_of(statistics: list[Json]) -> list[tuple[str | None, int]]:
    """Returns the value and the count of each group of one dimension."""
    return [(row["keys"][0]["value"], row["count"]) for row in statistics]


def mints(statistics: list[Json], visit: Visit) -> list[Bar]:
    """Returns the mints a month, by statistics of devices by MINTED_MONTH."""
    by_month = {name: count for name, count in counts_of(statistics) if name}
    months = recent_months(by_month, f"{visit.clock:%Y-%m}")
    return bars([(month(name), by_month.get(name, 0)) for name in months])


def activity_rates(statistics: list[Json], visit: Visit) -> list[ActivityRate]:
    """Returns the failures of each activity, by `failureStatistics`. All have the same months."""
    months = recent_months([row["month"] for row in statistics if row["month"]], f"{visit.clock:%Y-%m}")
    return [
        _rate(activity, [row for row in statistics if row["activity"] == activity], months) for activity in ACTIVITIES
    ]


def _rate(activity: str, rows: list[Json], months: list[str]) -> ActivityRate:
    by_month: dict[str, Any] = {row["month"]: (row["count"], row["failed"]) for row in rows}
    return ActivityRate(
        activity,
        ACTIVITIES[activity],
        sum(row["count"] for row in rows),
        sum(row["failed"] for row in rows),
        rates([(month(name), *by_month.get(name, (0, 0))) for name in months]),
    )
