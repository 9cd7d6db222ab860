"""The query parameters of EPCIS, and the filters of GraphQL that they make."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams

from api.epcis.problems import bad_parameter
from api.epcis.vocabulary import BIZ_STEPS, DISPOSITIONS
from schema.did import EXAMPLE, parse_did
from schema.times import utc_text
from schema.vocabulary import BizStep, Disposition, EpcisAction

Json = dict[str, Any]

PER_PAGE, MAX_PER_PAGE = 30, 100
MAX_VALUES = 100
"""Values of one parameter."""

EVENT_COST = 90
"""What an event may cost: its objects, and for each of two types of events 20 corrections with their blocks."""

EVENT_TYPES = ("ObjectEvent", "AssociationEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent")
"""The event types of EPCIS. Devices have events of the first two."""


class Words(NamedTuple):
    """The words of CBV for a field, what may stand before them, and those that devices have."""

    standard: Collection[str]
    prefixes: Sequence[str]
    used: Sequence[str]


STEPS = Words(BIZ_STEPS, ("https://ref.gs1.org/cbv/BizStep-", "urn:epcglobal:cbv:bizstep:"), list(BizStep.__members__))
DISPOSITION = Words(
    DISPOSITIONS, ("https://ref.gs1.org/cbv/Disp-", "urn:epcglobal:cbv:disp:"), list(Disposition.__members__)
)

ANY: Json = {"action": {"in": [action.name for action in EpcisAction]}}
"""The events that EPCIS has words for: not those of grants and licenses."""

NONE: Json = {"kind": {"eq": "UNMAPPED"}}

PAIRED: Json = {"kind": {"eq": "DEVICE_PAIRED"}, "bizStep": {"eq": "installing"}}
UNPAIRED: Json = {"kind": {"eq": "DEVICE_UNPAIRED"}}
ASSOCIATED: Json = {"or": [PAIRED, UNPAIRED]}
"""The events that are associations, except those that name no vehicle."""


class Period(NamedTuple):
    """The record times of a query: from the first instant on, before the second one."""

    start: datetime | None
    end: datetime | None

    def includes(self, moment: datetime) -> bool:
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


class Query(NamedTuple):
    """A query. `filter` is that of recorded events, `removed` that of events that reorgs removed.

    `types` and `actions` are those that an EPCIS event must have, empty for any: whether an event is an association is
    known only once it is read. `token` continues after a page.
    """

    filter: Json
    removed: Json
    recorded: Period
    types: Collection[str]
    actions: Collection[str]
    per_page: int
    token: str

    def selects(self, event: Json) -> bool:
        return (not self.types or event["type"] in self.types) and (not self.actions or event["action"] in self.actions)


def parse_query(parameters: QueryParams, max_cost: int, epc: str | None = None) -> Query:
    """Returns the query of an address; that of one device if `epc` is set. Raises Problem."""
    texts = _texts(parameters)
    values = {name: parse(name, texts[name]) for name, parse in PARSERS.items() if name in texts}
    conditions = [condition for name, make in CONDITIONS.items() if (condition := make(values.get(name)))]
    if epc is not None:
        conditions.append(_devices([epc]))
    record_times = [
        {"recordTime": {operator: utc_text(values[name])}} for name, operator in RECORD_TIMES.items() if name in values
    ]
    return Query(
        filter={**ANY, "and": [*conditions, *record_times]} if conditions or record_times else ANY,
        removed={**ANY, "and": conditions} if conditions else ANY,
        recorded=Period(values.get("GE_recordTime"), values.get("LT_recordTime")),
        types=values.get("eventType", ()),
        actions=values.get("EQ_action", ()),
        per_page=max(1, min(values.get("perPage", PER_PAGE), MAX_PER_PAGE, max_cost // EVENT_COST)),
        token=values.get("nextPageToken", ""),
    )


def _texts(parameters: QueryParams) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for name, text in parameters.multi_items():
        if name not in PARSERS:
            raise bad_parameter(f'There is no parameter "{name[:80]}" here. Parameters: {", ".join(PARSERS)}.')
        if name in texts:
            raise bad_parameter(f"{name} is given twice: separate its values by |.")
        if text:
            texts[name] = text
    return texts


# Values


def _values(name: str, text: str) -> Sequence[str]:
    values = text.split("|")
    if len(values) > MAX_VALUES:
        raise bad_parameter(f"{name} has {len(values)} values: give at most {MAX_VALUES}.")
    return values


def _choice(allowed: Iterable[str]) -> Callable[[str, str], Sequence[str]]:
    def parse(name: str, text: str) -> Sequence[str]:
        for value in (values := _values(name, text)):
            if value not in allowed:
                raise bad_parameter(f'{name} is "{value[:80]}": give one of {", ".join(allowed)}.')
        return values

    return parse


def _word(words: Words) -> Callable[[str, str], Sequence[str]]:
    def word(name: str, value: str) -> str:
        bare = value
        for prefix in words.prefixes:
            bare = bare.removeprefix(prefix)
        if bare not in words.standard and ":" not in bare:
            raise bad_parameter(
                f'{name} is "{value[:80]}", which is no word of CBV 2.0. Devices have {", ".join(words.used)}. '
                "A word of another vocabulary is a URI."
            )
        return bare

    return lambda name, text: [word(name, value) for value in _values(name, text)]


def _epcs(name: str, text: str) -> Sequence[str]:
    for value in (values := _values(name, text)):
        require_epc(name, value)
    return values


def require_epc(name: str, value: str) -> None:
    """Raises Problem for a text that names no device."""
    if parse_did(value) is None:
        raise bad_parameter(f'{name} is "{value[:120]}": devices are named by their DID, such as {EXAMPLE}.')


def _time(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in an address stands for a space
        if moment.tzinfo is None:
            raise ValueError("no offset")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        example = "2025-01-31T12:00:00Z"
        raise bad_parameter(f'{name} is "{text[:80]}": give a time with its offset, such as {example}.') from None


def _per_page(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise bad_parameter(f'{name} is "{text[:80]}": give a whole number from 1; a page has at most {MAX_PER_PAGE}.')
    return int(text)


PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "eventType": _choice(EVENT_TYPES),
    "GE_eventTime": _time,
    "LT_eventTime": _time,
    "GE_recordTime": _time,
    "LT_recordTime": _time,
    "EQ_action": _choice([action.name for action in EpcisAction]),
    "EQ_bizStep": _word(STEPS),
    "EQ_disposition": _word(DISPOSITION),
    "MATCH_epc": _epcs,
    "perPage": _per_page,
    "nextPageToken": lambda name, text: text,
}

# Conditions


def _types(types: Sequence[str] | None) -> Json | None:
    if types is None or {"ObjectEvent", "AssociationEvent"} <= set(types):
        return None
    if "AssociationEvent" in types:
        return ASSOCIATED
    return {"not": PAIRED} if "ObjectEvent" in types else NONE


def _actions(actions: Sequence[str] | None) -> Json | None:
    if actions is None:
        return None
    # an association adds or deletes, which its event only observes
    alternatives: dict[str, Json] = {
        "ADD": {"or": [{"action": {"eq": "ADD"}}, PAIRED]},
        "OBSERVE": {"action": {"eq": "OBSERVE"}, "not": PAIRED},
        "DELETE": {"or": [{"action": {"eq": "DELETE"}}, UNPAIRED]},
    }
    return {"or": [alternatives[action] for action in dict.fromkeys(actions)]}


def _event_time(operator: str) -> Callable[[datetime | None], Json | None]:
    def condition(moment: datetime | None) -> Json | None:
        if moment is None:
            return None
        bound = {operator: utc_text(moment)}
        # an event that states no time has that of its block
        return {"or": [{"eventTime": bound}, {"eventTime": {"isNull": True}, "recordTime": bound}]}

    return condition


def _devices(dids: Sequence[str]) -> Json:
    return {"device": {"or": [{"anyKey": did} for did in dids]}}


def _in(field: str) -> Callable[[Sequence[str] | None], Json | None]:
    return lambda words: {field: {"in": words}} if words else None


CONDITIONS: Mapping[str, Callable[[Any], Json | None]] = {
    "eventType": _types,
    "GE_eventTime": _event_time("gte"),
    "LT_eventTime": _event_time("lt"),
    "EQ_action": _actions,
    "EQ_bizStep": _in("bizStep"),
    "EQ_disposition": _in("disposition"),
    "MATCH_epc": lambda dids: _devices(dids) if dids else None,
}
RECORD_TIMES = {"GE_recordTime": "gte", "LT_recordTime": "lt"}
