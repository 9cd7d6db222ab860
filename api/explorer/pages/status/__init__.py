"""`/status`: how far, how fresh and how well verified the register is, who writes it, and what fails."""

from datetime import timedelta
from typing import Any, NamedTuple

from api.explorer import live
from api.explorer.page import Json, Page
from api.explorer.values import duration
from api.explorer.visit import Visit


class Network(NamedTuple):
    """A network: its state in words, the tone of that, its backlog in words, and the share of its blocks that is read.

    `share` is 0 to 100, None once the backfill is complete.
    """

    row: Json
    state: str
    tone: str
    behind: str
    share: float | None


def view(data: Json, visit: Visit) -> dict[str, Any]:
    networks = [_network(chain) for chain in data["_meta"]["chains"]]
    return {"networks": networks, "version": data["_meta"]["version"], "worst": _worst(networks)}


def _network(chain: Json) -> Network:
    state, tone = state_of(chain)
    lag = chain["lagSeconds"]
    behind = "unknown" if lag is None else duration(timedelta(seconds=lag)) if lag else "none"
    return Network(chain, state, tone, behind, None if chain["backfilled"] else _share(chain))


def state_of(chain: Json) -> tuple[str, str]:
    """Returns the state of a network in words, and its tone."""
    if chain["stopped"]:
        return "Stopped: an operator must act", "bad"
    if chain["failingSince"]:
        return "Failing, and trying again", "bad"
    if not chain["indexed"]:
        return "Nothing is indexed yet", "warn"
    if not chain["backfilled"]:
        return "Reading the past", "warn"
    if not chain["writer"]:
        return "No indexer is running", "bad"
    return ("Up to date", "good") if chain["synced"] else ("Catching up", "warn")


def _share(chain: Json) -> float:
    start = min((int(contract["startBlock"]) for contract in chain["contracts"]), default=0)
    indexed = int(chain["indexed"]["number"]) if chain["indexed"] else start
    end = int(chain["head"]["number"]) if chain["head"] else indexed
    return round(100 * min(max(indexed - start, 0) / max(end - start, 1), 1), 1)


def _worst(networks: list[Network]) -> Network | None:
    return min(networks, key=lambda network: ("bad", "warn", "good").index(network.tone), default=None)


STATUS = Page(path="/status", name="status", view=view, subscription=live.BLOCKS)
