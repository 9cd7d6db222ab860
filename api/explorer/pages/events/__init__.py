"""`/events`: the feed of all events. Its filters and its order are parameters of the URL."""

from typing import Any

from api.explorer.downloads import file_links
from api.explorer.filters import (
    Filters,
    choices,
    conditions_set,
    filter_of,
    first_second,
    last_second,
    require_choice,
)
from api.explorer.page import Json, Page
from api.explorer.values import words
from api.explorer.visit import Visit
from api.explorer.vocabulary import LABELS
from schema.events import Kind
from schema.vocabulary import BizStep, Disposition, EpcisAction

EVENTS_ON_A_PAGE = 50

ORDERS = {"newest": "Newest first", "oldest": "Oldest first"}

KINDS = {kind.name: words(kind.name) for kind in Kind}
FLAGS = {flag: label.text for flag, label in LABELS["flag"].items()}
ANY_FLAG = {"any": "Any contradiction"}
PROOFS = {level: label.text for level, label in LABELS["verification"].items()}
FINALITIES = {name: label.text for name, label in LABELS["finality"].items() if name != "ORPHANED"}
ACTIONS = {action.name: words(action.name) for action in EpcisAction}
STEPS = {step.name: words(step.name) for step in BizStep}
DISPOSITIONS = {disposition.name: words(disposition.name) for disposition in Disposition}

CHOICES = {
    "kind": KINDS,
    "flag": ANY_FLAG | FLAGS,
    "proof": PROOFS,
    "finality": FINALITIES,
    "action": ACTIONS,
    "step": STEPS,
    "disposition": DISPOSITIONS,
}
"""The parameters with a fixed set of values."""

FILTERS: Filters = {
    "device": lambda text: {"device": {"anyKey": text}},
    "kind": lambda text: {"kind": {"eq": text}},
    "flag": lambda text: {"flag": {"any": True} if text in ANY_FLAG else {"eq": text}},
    "manufacturer": lambda text: {"manufacturerId": {"eq": text}},
    "model": lambda text: {"hardwareLicenseId": {"eq": text}},
    "from": lambda text: {"recordTime": {"gte": first_second(text)}},
    "to": lambda text: {"recordTime": {"lte": last_second(text)}},
    "happened-from": lambda text: {"eventTime": {"gte": first_second(text)}},
    "happened-to": lambda text: {"eventTime": {"lte": last_second(text)}},
    "proof": lambda text: {"verification": {"eq": text}},
    "finality": lambda text: {"finality": {"eq": text}},
    "action": lambda text: {"action": {"eq": text}},
    "step": lambda text: {"bizStep": {"eq": text}},
    "disposition": lambda text: {"disposition": {"eq": text}},
    "block-from": lambda text: {"block": {"gte": text}},
    "block-to": lambda text: {"block": {"lte": text}},
    "tx": lambda text: {"transactionHash": {"eq": text}},
    "contract": lambda text: {"contract": {"eq": text}},
    "chain": lambda text: {"chainId": {"eq": text}},
}
"""The parameters that filter the feed: each makes one condition of LifecycleEventFilter."""

TITLES = {
    "flag": "contradiction",
    "from": "recorded from",
    "to": "recorded until",
    "happened-from": "happened from",
    "happened-to": "happened until",
    "step": "business step",
    "block-from": "from block",
    "block-to": "to block",
    "tx": "transaction",
}
SHOWN_AT_ONCE = ("device", "kind", "flag", "from", "to")


def events_variables(visit: Visit) -> Json:
    for name, allowed in {**CHOICES, "order": ORDERS}.items():
        require_choice(visit, name, allowed)
    return {
        "filterBy": filter_of(FILTERS, visit),
        "direction": "ASC" if visit.parameter("order") == "oldest" else "DESC",
        **visit.page_of(EVENTS_ON_A_PAGE),
    }


def view(data: Json, visit: Visit) -> dict[str, Any]:
    makers = {maker["tokenId"]: maker["name"] or maker["tokenId"] for maker in data["manufacturers"]["nodes"]}
    models = {one["hardwareLicenseId"]: one["model"] or one["hardwareLicenseId"] for one in data["models"]["nodes"]}
    named = {**CHOICES, "manufacturer": makers, "model": models}
    shown = events_variables(visit)
    order = {"field": "POSITION", "direction": shown["direction"]}
    return {
        "events": data["lifecycleEvents"],
        "files": file_links(visit, "events", filter=shown["filterBy"], orderBy=order),
        "choices": {name: choices(values) for name, values in {**named, "order": ORDERS}.items()},
        "more_open": any(visit.parameter(name) for name in FILTERS if name not in SHOWN_AT_ONCE),
        "conditions": conditions_set(FILTERS, visit, TITLES, named),
    }


EVENTS = Page(path="/events", name="events", variables=events_variables, view=view)
