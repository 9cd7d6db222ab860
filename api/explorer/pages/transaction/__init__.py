"""`/tx/{hash}`: everything of ours in a transaction, also what a reorg removed with it."""

from typing import Any

from api.explorer.logs import logs_variables, summary
from api.explorer.page import Json, Page
from api.explorer.problems import WayOut, not_found
from api.explorer.visit import Visit
from api.http.as_of import HASH


def transaction_variables(visit: Visit) -> Json:
    hash = visit.keys["hash"]
    if not HASH.fullmatch(hash):
        raise visit.misnamed(hash, "a transaction", "is not the hash of a transaction: 0x and 64 hex digits.")
    return logs_variables(visit, {"transactionHash": {"eq": hash}})


def view(data: Json, visit: Visit) -> dict[str, Any]:
    hash = visit.keys["hash"]
    if not data["lifecycleEvents"]["totalCount"] + data["orphanedEvents"]["totalCount"]:
        if visit.as_of:
            message = f"At that point, there was no event of this register in the transaction {hash}."
            raise not_found(message, WayOut("Show it now", visit.now_href), hash)
        raise not_found(
            f"There is no event of this register in the transaction {hash}. It may be too new to be indexed, or it "
            "touches none of the contracts that are watched here.",
            WayOut("See how far the index is", visit.link("/status")),
            hash,
        )
    return {"hash": hash, **summary(data)}


TRANSACTION = Page(path="/tx/{hash}", name="transaction", variables=transaction_variables, view=view)
