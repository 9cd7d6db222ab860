"""What was measured, as a table, as JSON, and as a plot that is an SVG written by hand."""

from collections.abc import Iterator, Sequence

import msgspec

from scripts.benchmark.runs import Backfill, Ceiling, Rewritten
from scripts.benchmark.verification import Verification

STAGES = ("fetch", "parse", "decode", "load", "fold", "digest", "write", "index")
COLOURS = ("#3366cc", "#dc3912", "#ff9900", "#109618", "#990099", "#0099c6", "#dd4477", "#66aa00")
MICRO = 1e6
MEGA = 1e6


class Results(msgspec.Struct):
    """All that one run of the benchmark found out. `machine` says where."""

    machine: str
    ceiling: Ceiling
    backfills: list[Backfill] = []
    rebuilds: list[Rewritten] = []
    verification: Verification | None = None


def table(results: Results) -> str:
    """Returns the results as text, one line a run."""
    lines = [results.machine, _ceiling(results.ceiling), "", "backfill", _BACKFILL_HEAD]
    lines += [_backfill(run) for run in results.backfills]
    lines += ["", "CPU of the indexer in us an event, by stage (fetch is what no other stage claims)", _STAGE_HEAD]
    lines += [_stages(run) for run in results.backfills]
    lines += ["", "rate of the first and the last fifth of the steps, events/s"]
    lines += [f"{_name(run):<40} {first:>9,.0f} {last:>9,.0f}" for run, first, last in _rates(results.backfills)]
    lines += ["", "against the naive indexer of the same run: times its rate, and its CPU an event over ours"]
    lines += [f"{_name(run):<40} {rate:>9.1f} {cpu:>9.1f}" for run, rate, cpu in _ratios(results.backfills)]
    if results.rebuilds:
        lines += ["", "certindex rebuild"]
        lines += [_rebuild(run) for run in results.rebuilds]
    if results.verification is not None:
        lines += ["", "certindex verify, of a real chain", _verification(results.verification)]
    return "\n".join(lines)


_BACKFILL_HEAD = (
    f"{'':<40} {'events':>9} {'events/s':>9} {'blocks/s':>9} {'us CPU':>7} {'server':>7} {'MB RAM':>7} {'MB file':>7}"
    f" {'requests':>8} {'MB in':>6}"
)
_STAGE_HEAD = f"{'':<40}" + "".join(f"{stage:>8}" for stage in STAGES)


def _ceiling(ceiling: Ceiling) -> str:
    return (
        f"the node by itself: {ceiling.events_a_second:,.0f} events/s, {ceiling.bytes_a_second / MEGA:,.0f} MB/s, "
        f"{ceiling.headers_a_second:,.0f} headers/s"
    )


def _backfill(run: Backfill) -> str:
    measured = run.measured
    return (
        f"{_name(run):<40} {run.events:>9,} {run.rate:>9,.0f} {run.blocks / measured.seconds:>9,.0f} "
        f"{_cpu(measured.cpu_seconds, run.events)} {_cpu(run.server_cpu_seconds, run.events)} "
        f"{measured.memory_bytes / MEGA:>7.0f} {run.database_bytes / MEGA:>7.0f} {sum(run.requests.values()):>8,} "
        f"{run.received_bytes / MEGA:>6.0f}"
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
        f"{_cpu(run.cpu_seconds, run.events)}   proofs: {run.proof_bytes / max(run.events, 1):,.0f} bytes an event"
    )


def _stages(run: Backfill) -> str:
    shares = stage_shares(run)
    return f"{_name(run):<40}" + "".join(f"{shares[stage]:>8.1f}" for stage in STAGES)


def stage_shares(run: Backfill) -> dict[str, float]:
    """Returns microseconds of CPU an event by stage."""
    known = {stage: seconds * MICRO / run.events for stage, seconds in run.measured.stages_cpu.items()}
    rest = run.measured.cpu_seconds * MICRO / run.events - sum(known.values())
    return {stage: known.get(stage, 0.0) for stage in STAGES} | {"fetch": rest}


def _rates(runs: Sequence[Backfill]) -> Iterator[tuple[Backfill, float, float]]:
    for run in runs:
        steps = run.measured.steps
        fifth = len(steps) // 5
        if fifth:
            yield run, _rate([(0.0, 0), *steps[:fifth]]), _rate(steps[-fifth - 1 :])


def _rate(steps: Sequence[tuple[float, int]]) -> float:
    return sum(events for _, events in steps[1:]) / max(steps[-1][0] - steps[0][0], 1e-9)


def _ratios(runs: Sequence[Backfill]) -> Iterator[tuple[Backfill, float, float]]:
    naive = {run.database: run for run in runs if run.label == "naive"}
    for run in runs:
        if run.label != "naive" and run.database in naive:
            ordinary = naive[run.database]
            yield run, run.rate / ordinary.rate, ordinary.cpu_an_event / run.cpu_an_event


def _name(run: Backfill) -> str:
    return f"{run.database} {run.label}"


def _cpu(seconds: float, events: int) -> str:
    return f"{seconds * MICRO / max(events, 1):>7.1f}"


# The plot

WIDTH, HEIGHT, LEFT, TOP = 900, 560, 70, 40
PLOT_WIDTH, PLOT_HEIGHT = 560, 460


def plot(results: Results) -> str:
    """Returns an SVG: events in the database over time, a line a run."""
    runs = [run for run in results.backfills if len(run.measured.steps) > 1]
    seconds = max((run.measured.seconds for run in runs), default=1.0)
    events = max((run.events for run in runs), default=1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="16">Events in the database by seconds of backfill</text>',
    ]
    parts += _axes(seconds, events)
    for number, run in enumerate(runs):
        colour = COLOURS[number % len(COLOURS)]
        y = TOP + 20 * number + 12
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{_line(run, seconds, events)}"/>'
        )
        parts.append(f'<rect x="{LEFT + PLOT_WIDTH + 20}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + PLOT_WIDTH + 38}" y="{y}">{_name(run)}: {run.rate:,.0f}/s</text>')
    return "\n".join([*parts, "</svg>\n"])


def _axes(seconds: float, events: int) -> Iterator[str]:
    bottom = TOP + PLOT_HEIGHT
    yield f'<path d="M{LEFT} {TOP} V{bottom} H{LEFT + PLOT_WIDTH}" fill="none" stroke="black"/>'
    for part in range(6):
        x, y = LEFT + PLOT_WIDTH * part / 5, bottom - PLOT_HEIGHT * part / 5
        yield f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{seconds * part / 5:.1f} s</text>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{events * part // 5:,}</text>'


def _line(run: Backfill, seconds: float, events: int) -> str:
    total = 0
    points = [f"{LEFT},{TOP + PLOT_HEIGHT}"]
    for at, added in run.measured.steps:
        total += added
        x = LEFT + PLOT_WIDTH * at / seconds
        points.append(f"{x:.1f},{TOP + PLOT_HEIGHT - PLOT_HEIGHT * total / events:.1f}")
    return " ".join(points)
