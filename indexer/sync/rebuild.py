"""Rebuild: rewrites all derived rows from the stored events, without the network, in one transaction."""

from collections.abc import Sequence

from msgspec import Struct

from indexer.decode.completion import complete
from indexer.decode.decode import decode
from indexer.fold.fold import fold
from indexer.fold.located_fact import named_by
from indexer.store import Checkpoint, Store
from indexer.store.rewriting import Rewriting
from indexer.store.timings import Timings
from indexer.sync.interpretation import Interpretation
from schema.tables.rows import Call


class Rebuilt(Struct, frozen=True):
    """The number of events that were read again, and of those that are facts."""

    events: int
    facts: int


def rebuild(store: Store, before: Checkpoint, interpretation: Interpretation, results: Sequence[Call] = ()) -> Rebuilt:
    """Rewrites all derived rows by the interpretation. Raises Fenced if the checkpoint has moved.

    `results` of contract calls are stored first, and complete what the events leave out.
    """
    with store.rewriting(before, interpretation.profile, results) as rewriting:
        return refold(rewriting, interpretation, store.timings)


def refold(rewriting: Rewriting, interpretation: Interpretation, timings: Timings) -> Rebuilt:
    """Decodes and folds the stored events again, chunk by chunk."""
    events = facts = 0
    for blocks in rewriting.chunks():
        if interpretation.profile.factories:  # an indexer may have gone on since the last chunk
            interpretation = interpretation.watching(rewriting.watch_set())
        reader, policy = interpretation.reader, interpretation.policy
        with timings.stage("decode"):
            decoded = decode(blocks, reader)
            located = complete(decoded.facts, reader.calls, rewriting.contract_results)
        with timings.stage("load"):
            open_rows = rewriting.open_rows(named_by(located))
        with timings.stage("fold"):
            changes = fold(open_rows, located, policy)
        with timings.stage("write"):
            rewriting.write(blocks, decoded.spread, {**decoded.readings, **changes.readings}, changes)
        events += sum(len(block.logs) for block in blocks)
        facts += len(located)
    return Rebuilt(events, facts)
