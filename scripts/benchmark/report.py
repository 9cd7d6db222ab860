"""Formats the results as a table."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from scripts.benchmark.exporting import Exported
from scripts.benchmark.growing import Answered, Grown
from scripts.benchmark.loading import CONNECTIONS
from scripts.benchmark.runs import Backfill, Ceiling, Rewritten
from scripts.benchmark.sections import Results
from scripts.benchmark.serving import CACHED, COMPILED, ORDINARY, TWO_WORKERS, Memory, Served, Started
from scripts.benchmark.switching import Switched
from scripts.benchmark.verification import Verification

STAGES = ("fetch", "decode", "load", "fold", "digest", "write", "index")
ENDS = 100_000
MICRO = 1e6
MEGA = 1e6
KILO = MILLI = 1e3
PAGE_KB = 100
"""What a page may transfer, with its style sheet, scripts and pictures."""


def table(results: Results) -> str:
    """Returns the results as text, with one line for each run."""
    return "\n".join([results.machine, *(line for part in PARTS for line in part(results))])


def _backfills(results: Results) -> Iterator[str]:
    runs = results.backfills
    if results.ceiling is not None:
        yield _ceiling(results.ceiling)
    if not runs:
        return
    yield from ("", "backfill; provider/s: events/s of a client that discards all responses", _BACKFILL_HEAD)
    yield from map(_backfill, runs)
    yield from ("", "CPU of the indexer in us per event, by stage (fetch is the rest)", _STAGE_HEAD)
    yield from (_stages(run) for run in runs if run.label != "naive")
    yield from (
        "",
        f"events/s over the first and the last {ENDS:,} events (the last with the indexes)",
        _ENDS_HEAD,
    )
    yield from (f"{name(run):<40} {first:>9,.0f} {last:>9,.0f}" for run, first, last in _rates(runs))
    yield from ("", "against the naive indexer of the same run: our rate over its rate, its CPU per event over ours")
    yield from (f"{name(run):<40} {rate:>9.1f} {cpu:>9.1f}" for run, rate, cpu in _ratios(runs))
    yield from ("", "certindex rebuild", _BACKFILL_HEAD.partition("server")[0])
    yield from map(_rebuild, results.rebuilds)


def _growth(results: Results) -> Iterator[str]:
    """Yields each part of a database that grew, with what its queries took after it."""
    for heading, indexed in (("growth in the first backfill", False), ("growth with all indexes", True)):
        growth = [grown for grown in results.growth if grown.indexed == indexed]
        if growth:
            yield from (
                "",
                f"{heading}; us CPU: of the indexer and the server an event, without fetching",
                _GROWTH_HEAD,
            )
        for grown in growth:
            cpu = " ".join(_cpu(seconds, grown.written) for seconds in (grown.cpu_seconds, grown.server_cpu_seconds))
            yield (
                f"{grown.database:<11} {grown.events:>10,} {grown.rate:>9,.0f} {cpu} "
                f"{grown.database_bytes / grown.events:>9,.0f}" + "".join(map(_answered, grown.answers))
            )
        for kind in dict.fromkeys(grown.database for grown in growth):
            parts = [grown for grown in growth if grown.database == kind]
            yield _kept(parts[0], parts[-1])


def _answered(query: Answered) -> str:
    return f"   ({query.letter}) {1000 * query.load.p50:>6.1f} {1000 * query.load.p99:>6.1f} {MICRO * query.cpu:>6,.0f}"


def _kept(first: Grown, last: Grown) -> str:
    """Returns the speed of the last part as a share of the first's."""
    return (
        f"{first.database:<11} the last part over the first: {last.rate / first.rate:.2f} in events/s, "
        f"{first.cpu_an_event / last.cpu_an_event:.2f} in events a second of CPU"
        + (f"; the indexes took {last.index_seconds:,.0f} s" if last.index_seconds else "")
    )


def _switches(results: Results) -> Iterator[str]:
    """Yields each rebuild beside the live tables, with what each server answered meanwhile."""
    if results.switches:
        yield from ("", "certindex rebuild --into, while servers are queried without a pause", _SWITCH_HEAD)
        for run in results.switches:
            yield from _switch(run)


def _switch(run: Switched) -> Iterator[str]:
    cpu = " ".join(_cpu(seconds, run.events) for seconds in (run.cpu_seconds, run.server_cpu_seconds))
    yield (
        f"{run.database:<11} {run.events:>10,} {run.seconds:>8,.1f} {run.events / run.seconds:>9,.0f} {cpu} "
        f"{run.memory_bytes / MEGA:>7,.0f} {run.database_bytes / MEGA:>8,.0f} {run.most_bytes / MEGA:>8,.0f} "
        f"{run.stood_still:>8.2f}"
    )
    for reading in run.readings:
        yield (
            f"  a server on {reading.server}: {reading.answers:,} answers, {reading.wrong} wrong, "
            f"{MILLI * reading.p50:.1f} ms each, {MILLI * reading.longest:,.0f} ms the slowest"
        )


def _following(results: Results) -> Iterator[str]:
    if results.follows:
        yield from ("", "follow: ms until the API returns a new block", _FOLLOW_HEAD)
        for run in results.follows:
            figures = (run.arrival_p50, run.arrival_p99, run.poll_p50, run.poll_p99)
            yield f"{run.database:<20} {run.blocks:>7,}" + "".join(f" {1000 * figure:>12.1f}" for figure in figures)
        yield from ("", "reorg: ms until the API returns the head of the new branch")
        for reorg in results.reorgs:
            yield f"{reorg.database:<20} {reorg.depth:>7,} blocks {1000 * reorg.seconds:>12.1f}"


def _recovering(results: Results) -> Iterator[str]:
    if results.recoveries:
        yield from (
            "",
            "recovery: s until the API returns the next block, after an outage or on a quiet socket",
        )
        for run in results.recoveries:
            yield f"{run.database:<11} {run.what:<24} {run.outage_seconds:>5,.0f} s {run.seconds:>8.1f}"


def _api(results: Results) -> Iterator[str]:
    if results.served:
        yield from ("", f"API, {CONNECTIONS} connections, the engines by turns", _SERVED_HEAD)
        ordinary = {_question(run): run for run in results.served if run.engine == ORDINARY}
        for run in results.served:
            slower = ordinary.get(_question(run))
            ratios = (
                [run.load.requests_a_second / slower.load.requests_a_second, slower.cpu / run.cpu] if slower else []
            )
            yield (
                f"{run.database:<11} {run.devices:>9,}  ({run.letter}) {run.what:<37} {run.engine:<13} "
                f"{run.load.requests_a_second:>9,.0f} {1000 * run.load.p50:>8.1f} {1000 * run.load.p99:>8.1f} "
                f"{MICRO * run.cpu:>8,.0f} {run.load.answer_bytes:>8,}" + "".join(f" {ratio:>9.2f}" for ratio in ratios)
            )
        yield from ("", "certindex-api: seconds from its start to its first response")
        yield from (f"{run.database:<11} {run.devices:>9,}  {run.seconds:>6.2f}" for run in results.starts)
        yield from ("", "certindex-api: MB of memory of one process at its peak")
        yield from (
            f"{run.database:<11} {run.devices:>9,}  {run.engine:<13} {run.memory_bytes / MEGA:>6.0f}"
            for run in results.memory
        )


def _exports(results: Results) -> Iterator[str]:
    if results.exports:
        yield from ("", "exports of all devices, and a look-up, each by a new process", _EXPORT_HEAD)
        for run in results.exports:
            yield (
                f"{run.database:<11} {run.devices:>9,}  {run.what:<8} {run.rows:>9,} {run.rows / run.seconds:>9,.0f} "
                f"{run.rows / run.cpu:>11,.0f} {run.bytes / MEGA:>8,.0f} {run.memory_bytes / MEGA:>7,.0f}"
            )
        yield from ("", "targets of exports, on two idle cores")
        for run in results.exports:
            if run.what == "csv":
                yield _target(run, "rows/s to CSV", run.rows / run.seconds, CSV_ROWS_A_SECOND, at_least=True)
                yield _target(run, "peak MB of CSV", run.memory_bytes / MEGA, 200)


def _explorer(results: Results) -> Iterator[str]:
    """Yields each page with its targets."""
    if results.pages:
        yield from ("", "pages of the explorer, warm, without the cache, one request at a time", _PAGE_HEAD)
        for run in results.pages:
            figures = ((MILLI * run.seconds, MILLI * run.most_seconds), (run.bytes / KILO, PAGE_KB))
            measured = " ".join(f"{value:>9,.1f} <= {most:>3.0f}" for value, most in figures)
            missed = "missed" if any(value > most for value, most in figures) else ""
            yield f"{run.database:<11} {run.devices:>9,}  {run.page:<40} {MILLI * run.cpu:>9,.1f} {measured}  {missed}"


def _targets(results: Results) -> Iterator[str]:
    """Yields each target of the API with what was measured, for fleets of all sizes."""
    if not results.served:
        return
    yield from ("", "targets of the API, on two idle cores")
    runs = {(*_question(run), run.engine): run for run in results.served}
    for run in results.served:
        wanted = REQUESTS_A_SECOND.get(run.letter)
        if wanted is None or run.engine not in (COMPILED, CACHED):
            continue
        rate = run.load.requests_a_second
        yield _target(
            run, f"({run.letter}) requests/s", rate, wanted / (1 if run.database == "sqlite" else 2), at_least=True
        )
        if run.letter == "a":
            ordinary, two = runs[*_question(run), ORDINARY], runs[*_question(run), TWO_WORKERS]
            small = runs.get((run.database, SMALL, "a", COMPILED), run)
            yield _target(run, "(a) p99 in ms", 1000 * run.load.p99, 40)
            yield _target(run, f"(a) p99 over that at {SMALL:,}", run.load.p99 / small.load.p99, 1.5)
            yield _target(run, "(a) CPU of COMPILED=off over that of a plan", ordinary.cpu / run.cpu, 8, at_least=True)
            yield _target(
                run, "(a) rate of two workers over one", two.load.requests_a_second / rate, 1.6, at_least=True
            )
    for start in results.starts:
        yield _target(start, "first response after s", start.seconds, 1.2)
    for used in results.memory:
        if used.engine == COMPILED:
            yield _target(used, "peak MB", used.memory_bytes / MEGA, 200)


def _target(
    run: Served | Started | Memory | Exported, name: str, value: float, wanted: float, *, at_least: bool = False
) -> str:
    is_met = value >= wanted if at_least else value <= wanted
    return (
        f"{run.database:<11} {run.devices:>9,}  {name:<44} {value:>9,.2f} {'>=' if at_least else '<='} {wanted:>8,.1f}"
        f"  {'' if is_met else 'missed'}"
    )


CSV_ROWS_A_SECOND = 100_000

REQUESTS_A_SECOND = {"a": 1_200, "b": 500, "c": 1_200, "d": 5_000, "e": 300}
"""On SQLite, by the letter of the query; half of it on PostgreSQL."""

SMALL = 10_000
"""Devices of the fleet whose p99 the others are compared with."""


def _question(run: Served) -> tuple[str, int, str]:
    return run.database, run.devices, run.letter


def _verified(results: Results) -> Iterator[str]:
    if results.verification is not None:
        yield from ("", "certindex verify, on a development chain", _verification(results.verification))


PARTS: Sequence[Callable[[Results], Iterator[str]]] = (
    _backfills,
    _growth,
    _switches,
    _following,
    _recovering,
    _api,
    _exports,
    _explorer,
    _targets,
    _verified,
)
_FOLLOW_HEAD = f"{'':<20} {'blocks':>7} {'arrival p50':>12} {'arrival p99':>12} {'poll p50':>12} {'poll p99':>12}"
_SERVED_HEAD = (
    f"{'':<11} {'devices':>9}  {'query':<41} {'engine':<13} {'requests/s':>9} {'p50 ms':>7} {'p99 ms':>8} "
    f"{'us CPU':>8} {'bytes':>8} {'its rate':>9} {'its CPU':>9}  against COMPILED=off"
)
_EXPORT_HEAD = (
    f"{'':<11} {'devices':>9}  {'format':<8} {'rows':>9} {'rows/s':>9} {'rows/CPU s':>11} {'MB':>8} {'MB RAM':>7}"
)
_PAGE_HEAD = f"{'':<11} {'devices':>9}  {'page':<40} {'ms CPU':>9} {'ms':>9} {'':>6} {'kB':>9}"
_GROWTH_HEAD = (
    f"{'':<11} {'events':>10} {'events/s':>9} {'us CPU':>7} {'server':>7} {'bytes/ev.':>9}   "
    "of each query: p50 ms, p99 ms, us CPU a request"
)
_SWITCH_HEAD = (
    f"{'':<11} {'events':>10} {'seconds':>8} {'events/s':>9} {'us CPU':>7} {'server':>7} {'MB RAM':>7} {'MB':>8} "
    f"{'at most':>8}  s without writes"
)
_ENDS_HEAD = f"{'':<40} {'first':>9} {'last':>9}"
_BACKFILL_HEAD = (
    f"{'':<40} {'events':>9} {'events/s':>9} {'blocks/s':>9} {'us CPU':>7} {'server':>7} {'MB RAM':>7} {'MB file':>7}"
    f" {'requests':>8} {'MB in':>6} {'provider/s':>10}"
)
_STAGE_HEAD = f"{'':<40}" + "".join(f"{stage:>8}" for stage in STAGES)


def _ceiling(limit: Ceiling) -> str:
    return (
        f"the node by itself: {limit.events / limit.log_seconds:,.0f} events/s, "
        f"{limit.log_bytes / limit.log_seconds / MEGA:,.0f} MB/s, {limit.headers / limit.header_seconds:,.0f} headers/s"
    )


def _backfill(run: Backfill) -> str:
    measured = run.measured
    return (
        f"{name(run):<40} {run.events:>9,} {run.rate:>9,.0f} {run.blocks / measured.seconds:>9,.0f} "
        f"{_cpu(measured.cpu_seconds, run.events)} {_cpu(run.server_cpu_seconds, run.events)} "
        f"{measured.memory_bytes / MEGA:>7.0f} {run.database_bytes / MEGA:>7.0f} {sum(run.requests.values()):>8,} "
        f"{run.received_bytes / MEGA:>6.0f} {run.provider_rate:>10,.0f}"
    )


def _rebuild(run: Rewritten) -> str:
    measured = run.measured
    return (
        f"{run.database:<40} {run.events:>9,} {run.rate:>9,.0f} {'':>9} {_cpu(measured.cpu_seconds, run.events)} "
        f"{'':>7} {measured.memory_bytes / MEGA:>7.0f}"
    )


def _verification(run: Verification) -> str:
    return (
        f"{'sqlite':<40} {run.events:>9,} {run.events / run.seconds:>9,.0f} {run.blocks / run.seconds:>9,.0f} "
        f"{_cpu(run.cpu_seconds, run.events)}   proofs: {run.proof_bytes / max(run.events, 1):,.0f} bytes per event"
    )


def _stages(run: Backfill) -> str:
    shares = stage_shares(run)
    return f"{name(run):<40}" + "".join(f"{shares[stage]:>8.1f}" for stage in STAGES)


def stage_shares(run: Backfill) -> dict[str, float]:
    """Returns the CPU per event by stage, in microseconds."""
    measured = {stage: seconds * MICRO / run.events for stage, seconds in run.measured.stages_cpu.items()}
    rest = run.measured.cpu_seconds * MICRO / run.events - sum(measured.values())
    return {stage: measured.get(stage, 0.0) for stage in STAGES} | {"fetch": rest}


def _rates(runs: Sequence[Backfill]) -> Iterator[tuple[Backfill, float, float]]:
    for run in runs:
        if run.label != "naive" and len(run.measured.steps) > 1:
            times = [0.0, *(seconds for seconds, _ in run.measured.steps)]
            stored = list(accumulate((events for _, events in run.measured.steps), initial=0))
            ends = min(ENDS, stored[-1])
            first = next(index for index, events in enumerate(stored) if events >= ends)
            last = max(index for index, events in enumerate(stored) if stored[-1] - events >= ends)
            yield run, stored[first] / times[first], (stored[-1] - stored[last]) / (times[-1] - times[last])


def _ratios(runs: Sequence[Backfill]) -> Iterator[tuple[Backfill, float, float]]:
    naive = {run.database: run for run in runs if run.label == "naive"}
    for run in runs:
        if run.label != "naive" and run.database in naive:
            baseline = naive[run.database]
            yield run, run.rate / baseline.rate, baseline.cpu_an_event / run.cpu_an_event


def name(run: Backfill) -> str:
    """Returns the name of a run in the table."""
    return f"{run.database} {run.label}, {run.events:,}"


def _cpu(seconds: float, events: int) -> str:
    return f"{seconds * MICRO / max(events, 1):>7.1f}"
