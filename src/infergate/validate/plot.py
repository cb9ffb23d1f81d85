"""A load as a picture: requests a second over time, in characters or as an SVG."""

from __future__ import annotations

from collections.abc import Sequence

from infergate.validate.load import Load, in_words, percentile

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 240, 56, 40
_COLUMNS = 40


def text_plot(load: Load) -> list[str]:
    """Lines for a terminal: the rate over time, and how long requests took."""
    if not load.good:
        return []
    rates = _rates(load, _COLUMNS)
    highest = max(rates) or 1.0
    line = "".join(_BARS[round(rate / highest * (len(_BARS) - 1))] for rate in rates)
    took = [each.took_s * 1000 for each in load.good]
    lines = [f"  requests/s  {line}  up to {highest:.0f}, in {load.took_s:.0f} s"]
    for share in (0.5, 0.9, 0.99, 1.0):
        value = percentile(took, share)
        bar = "█" * max(1, round(value / max(took) * _COLUMNS)) if max(took) else ""
        lines.append(
            f"  {'slowest' if share == 1 else f'p{share * 100:.0f}':10}  {bar} {value:.0f} ms"
        )
    return lines


def svg_plot(load: Load) -> str:
    """The same as a file for a report: it needs nothing but a browser."""
    rates = _rates(load, min(_COLUMNS, max(2, len(load.good))))
    highest = max(rates, default=0.0) or 1.0
    step = _WIDTH / max(1, len(rates) - 1)
    points = " ".join(
        f"{_LEFT + number * step:.1f},{_TOP + _HEIGHT * (1 - rate / highest):.1f}"
        for number, rate in enumerate(rates)
    )
    bottom = _TOP + _HEIGHT
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 24}" height="{bottom + 48}" \
font-family="sans-serif" font-size="12">
  <title>Requests per second over time</title>
  <text x="{_LEFT}" y="20">{_escaped(load.model)}: {_escaped(in_words(load))}</text>
  <path d="M{_LEFT},{_TOP}V{bottom}H{_LEFT + _WIDTH}" fill="none" stroke="#888"/>
  <text x="{_LEFT - 8}" y="{_TOP + 4}" text-anchor="end">{highest:.0f}/s</text>
  <text x="{_LEFT - 8}" y="{bottom}" text-anchor="end">0</text>
  <text x="{_LEFT + _WIDTH}" y="{bottom + 20}" text-anchor="end">{load.took_s:.1f} s</text>
  <polyline points="{points}" fill="none" stroke="#2a6fdb" stroke-width="2"/>
</svg>
"""


def _rates(load: Load, columns: int) -> Sequence[float]:
    """Requests answered a second, in each part of the time."""
    if not load.took_s:
        return [0.0] * columns
    counts = [0] * columns
    for each in load.good:
        counts[min(columns - 1, int(each.at_s / load.took_s * columns))] += 1
    return [count * columns / load.took_s for count in counts]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
