"""One picture: the time to first token over load, a line for each router, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 220, 30, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, which people who do not see all colours tell apart."""

Points = Sequence[tuple[float, float]]


def picture(lines: Mapping[str, Points]) -> str | None:
    """lines: router → load and seconds. None where nobody has two points."""
    lines = {router: points for router, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    loads = sorted({load for points in lines.values() for load, _ in points})
    top = _round_up(max(seconds for points in lines.values() for _, seconds in points))

    def x(load: float) -> float:
        return LEFT + (load - loads[0]) / (loads[-1] - loads[0]) * (WIDTH - LEFT - RIGHT)

    def y(seconds: float) -> float:
        return HEIGHT - BOTTOM - seconds / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">p95 of the time to first token, simulated seconds</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 10}">load: of what eight engines can do</text>',
    ]
    for step in range(5):
        seconds = top * step / 4
        at = f"{y(seconds):.1f}"
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{at}" text-anchor="end">{seconds:g}</text>'
        )
    parts += [
        f'<text x="{x(load):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{load:.2f}</text>'
        for load in loads
    ]
    ends = sorted(lines, key=lambda router: lines[router][-1][1])
    label = float(HEIGHT)
    for place, router in enumerate(ends):
        colour = COLOURS[place % len(COLOURS)]
        points = " ".join(f"{x(load):.1f},{y(seconds):.1f}" for load, seconds in lines[router])
        label = min(label - 16, y(lines[router][-1][1]) + 4)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDTH - RIGHT + 8}" y="{label:.1f}" fill="{colour}">{escape(router)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _round_up(value: float) -> float:
    """To 1, 2, 4 or 8 times a power of ten, so that quarters of it are short numbers."""
    power = 10 ** math.floor(math.log10(max(value, 0.01)))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)
