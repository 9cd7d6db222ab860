"""`/owner/{address}` and `/user/{address}`: the fleet of an account: what it owns, and what is shared with it."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import groupby
from typing import Any, NamedTuple

from api.explorer.downloads import file_links
from api.explorer.filters import ADDRESS
from api.explorer.page import Json, Page
from api.explorer.visit import Visit
from schema.times import utc_text
from schema.vocabulary import version_key

DEVICES_ON_A_PAGE = 25
SOON = timedelta(days=30)


class ModelFirmware(NamedTuple):
    """The firmware of the devices of one model in the fleet: the newest version, and how many run it."""

    license_id: str | None
    name: str | None
    newest: str
    current: int
    outdated: int


def fleet_variables(visit: Visit) -> Json:
    address = visit.keys["address"]
    if not ADDRESS.fullmatch(address):
        raise visit.misnamed(address, "an address", "is not an address: 0x and 40 hex digits.")
    return {
        "address": address,
        "clock": utc_text(visit.clock),
        "soon": utc_text(visit.clock + SOON),
        **visit.page_of(DEVICES_ON_A_PAGE, "owned"),
        **visit.page_of(DEVICES_ON_A_PAGE, "shared"),
        **visit.page_of(DEVICES_ON_A_PAGE, "vehicles"),
        **visit.page_of(DEVICES_ON_A_PAGE, "shared-vehicles"),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    names = {model["hardwareLicenseId"]: model["model"] for model in data["models"]["nodes"]}
    models = _firmware_by_model(data["firmware"], names)
    account = {"eq": visit.keys["address"]}
    return {
        "address": visit.keys["address"],
        "owned_files": file_links(visit, "devices", filter={"owner": account}),
        "shared_files": file_links(visit, "authorizations", filter={"user": account}, activeAt=utc_text(visit.clock)),
        "is_owner": visit.path.startswith("/owner/"),
        "models": models,
        "outdated": sum(model.outdated for model in models),
        "failing": [(device, _failures(device)) for device in data["failing"]["nodes"]],
    }


def _failures(device: Json) -> list[str]:
    return [check["reason"] for check in device["provenance"].values() if check["verdict"] == "FAIL"]


def _firmware_by_model(statistics: list[Json], names: Mapping[str, str | None]) -> list[ModelFirmware]:
    rows = [({key["dimension"]: key["value"] for key in row["keys"]}, row["count"]) for row in statistics]
    known = sorted(
        (keys["HARDWARE_LICENSE"] or "", keys["FIRMWARE"], count) for keys, count in rows if keys["FIRMWARE"]
    )
    models = []
    for model, group in groupby(known, key=lambda row: row[0]):
        versions = {version: count for _, version, count in group}
        newest = max(versions, key=version_key)
        current = versions.pop(newest)
        models.append(ModelFirmware(model or None, names.get(model), newest, current, sum(versions.values())))
    return models


OWNER = Page(path="/owner/{address}", name="fleet", variables=fleet_variables, view=view)
USER = Page(path="/user/{address}", name="fleet", variables=fleet_variables, view=view)
