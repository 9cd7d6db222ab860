"""Facts completed by what a contract returned: an old event leaves out what the contract knows."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import msgspec

from indexer.fold.located_fact import LocatedFact
from schema.events import DeviceMinted, Fact, ManufacturerMinted
from schema.profile.calls import CallField, CompiledCall, ContractCall

Calls = Mapping[CallField, CompiledCall]
StoredResults = Callable[[Set[ContractCall]], Mapping[ContractCall, bytes]]
"""Returns the stored result of each call that has one."""


def missing_from(calls: Calls, fact: Fact) -> tuple[CompiledCall, int] | None:
    """Returns the call for what the fact leaves out, and the id to call it with; None if nothing is missing."""
    match fact:
        case DeviceMinted(manufacturer_id=None, token_id=id) if CallField.MANUFACTURER in calls:
            return calls[CallField.MANUFACTURER], id
        case ManufacturerMinted(name=None, manufacturer_id=id) if CallField.MANUFACTURER_NAME in calls:
            return calls[CallField.MANUFACTURER_NAME], id
        case _:
            return None


def complete(facts: Sequence[LocatedFact], calls: Calls, stored_results: StoredResults) -> Sequence[LocatedFact]:
    """Returns the facts of a batch, those that leave something out completed by the stored results."""
    missing = dict(_missing(facts, calls)) if calls else {}
    if not missing:
        return facts
    results = stored_results({call.to_id(id) for call, id in missing.values()})
    completed = list(facts)
    for index, (call, id) in missing.items():
        result = results.get(call.to_id(id))
        if result is not None:
            completed[index] = _completed(facts[index], call, result)
    return completed


def _missing(facts: Sequence[LocatedFact], calls: Calls) -> Iterable[tuple[int, tuple[CompiledCall, int]]]:
    for index, located in enumerate(facts):
        if isinstance(located.fact, DeviceMinted | ManufacturerMinted):
            missing = missing_from(calls, located.fact)
            if missing is not None:
                yield index, missing


def _completed(located: LocatedFact, call: CompiledCall, result: bytes) -> LocatedFact:
    replace = msgspec.structs.replace
    if isinstance(located.fact, DeviceMinted):
        fact: Fact = replace(located.fact, manufacturer_id=call.value(result))
        contracts = replace(located.contracts, manufacturer=call.manufacturer_contract)
        return replace(located, fact=fact, contracts=contracts)
    return replace(located, fact=replace(located.fact, name=call.value(result)))
