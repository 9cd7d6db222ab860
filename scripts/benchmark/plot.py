"""The plot: an SVG written by hand."""

from collections.abc import Iterator

from scripts.benchmark.report import name
from scripts.benchmark.runs import Backfill
from scripts.benchmark.sections import Results

COLORS = ("#3366cc", "#dc3912", "#ff9900", "#109618", "#990099", "#0099c6", "#dd4477", "#66aa00")
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
        color = COLORS[number % len(COLORS)]
        y = TOP + 20 * number + 12
        parts.append(
            f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{_line(run, seconds, events)}"/>'
        )
        parts.append(f'<rect x="{LEFT + PLOT_WIDTH + 20}" y="{y - 10}" width="12" height="12" fill="{color}"/>')
        parts.append(f'<text x="{LEFT + PLOT_WIDTH + 38}" y="{y}">{name(run)}: {run.rate:,.0f}/s</text>')
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
    for seconds_since_start, added in run.measured.steps:
        total += added
        x = LEFT + PLOT_WIDTH * seconds_since_start / seconds
        points.append(f"{x:.1f},{TOP + PLOT_HEIGHT - PLOT_HEIGHT * total / events:.1f}")
    return " ".join(points)
