"""`/block/{number or hash}`: everything of ours in a block, also on branches that a reorg removed."""

from typing import Any

from api.explorer.logs import logs_variables, summary
from api.explorer.page import Json, Page
from api.explorer.problems import Problem, WayOut, not_found
from api.explorer.visit import Visit
from api.http.as_of import HASH, NUMBER


def block_variables(visit: Visit) -> Json:
    key = visit.keys["block"]
    network = _network(visit)
    if HASH.fullmatch(key):
        return {**logs_variables(visit, {"blockHash": {"eq": key}, **network}), "isNumber": False}
    if NUMBER.fullmatch(key):
        return {
            **logs_variables(visit, {"block": {"eq": key}, **network}),
            "isNumber": True,
            "below": {"block": {"lt": key}, **network},
            "above": {"block": {"gt": key}, **network},
        }
    raise visit.misnamed(key, "a block", "is neither the number of a block nor its hash, 0x and 64 hex digits.")


def _network(visit: Visit) -> Json:
    chain = visit.parameter("chain")
    if chain and not NUMBER.fullmatch(chain):
        message = f"chain is “{chain[:80]}”. Give the chain id of a network, a number."
        raise Problem(400, "There is no such network", message, [WayOut("Show all networks", visit.here(chain=None))])
    return {"chainId": {"eq": chain}} if chain else {}


def view(data: Json, visit: Visit) -> dict[str, Any]:
    neighbors = {
        direction: nodes[0]["block"]["number"]
        for direction in ("previous", "next")
        if (nodes := data.get(direction, {}).get("nodes"))
    }
    if not data["lifecycleEvents"]["totalCount"] + data["orphanedEvents"]["totalCount"]:
        raise _nothing(visit, neighbors)
    shown = summary(data)
    networks = {event["in"]["chainId"] for event in data["lifecycleEvents"]["nodes"]}
    return {**shown, "neighbors": neighbors, "networks": sorted(networks, key=int)}


def _nothing(visit: Visit, neighbors: dict[str, str]) -> Problem:
    key = visit.keys["block"]
    problem = not_found(
        f"There is no event of this register in block {key}{' at that point' if visit.as_of else ''}. Blocks without "
        "such events are not kept; if the block is new, it may not be indexed yet.",
        query=key,
    )
    problem.ways_out = [
        *([WayOut("Show it now", visit.now_href)] if visit.as_of else []),
        *(
            WayOut(f"Show block {int(number):,}, the {direction} one with events", visit.link(f"/block/{number}"))
            for direction, number in neighbors.items()
        ),
        WayOut("See how far the index is", visit.link("/status")),
    ]
    return problem


BLOCK = Page(path="/block/{block}", name="block", variables=block_variables, view=view)
