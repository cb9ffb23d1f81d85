"""One picture of a gateway: lines of coloured parts, for a width and a height. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from infergate.cli.ledger import ago
from infergate.cli.terminal import Cell
from infergate.cli.top.seen import Seen
from infergate.shown import shown

if TYPE_CHECKING:
    from infergate.admin.live import LiveNow, ModelNow
    from infergate.admin.status_document import BackendState, Status
    from infergate.cli.top.seen import KeyNow

Line = tuple[Cell, ...]

SORTS = ("busy", "errors", "slow", "name")
PARTS = ("models", "backends", "keys")
_COLOURS = {"up": "green", "down": "red", "hung": "red"}
_NAME, _SHORTEST_NAME = 24, 8
_WELL = ("up", "slow")


@dataclass(frozen=True)
class View:
    """How somebody wants to see it. part: only this one of PARTS; None is all. skip: its rows that
    are scrolled away. paused: nothing new is asked for."""

    sort: str = "busy"
    part: str | None = None
    skip: int = 0
    paused: bool = False

    def sorted_on(self) -> View:
        """By the next of SORTS."""
        return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)], skip=0)

    def other_part(self) -> View:
        """All, then one part after the other."""
        order = (None, *PARTS)
        return replace(self, part=order[(order.index(self.part) + 1) % len(order)], skip=0)


@dataclass(frozen=True)
class _Table:
    """widths: of the columns but the last, which has the rest; negative: numbers, at the right.
    number_last: the last has numbers, too."""

    title: str
    head: tuple[str, ...]
    widths: tuple[int, ...]
    rows: Sequence[tuple[Cell, ...]]
    number_last: bool = False


def frame(seen: Seen, view: View, width: int, height: int | None, now: float) -> list[Line]:
    """height: None for as many lines as there are. No line is wider than width."""
    lines = [*_head(seen, now), ("",)]
    if seen.status is not None and seen.live is not None:
        tables = [
            table
            for part, table in (
                ("models", _models(seen.live, view)),
                ("backends", _backends(seen.status, seen, view)),
                ("keys", _keys(seen, view)),
            )
            if view.part in (None, part)
        ]
        room = None if height is None else height - len(lines) - 1
        for table, rows in zip(tables, _shares(tables, room), strict=True):
            lines += _drawn(table, rows, view.skip if view.part else 0, width)
    lines = [_cut(line, width) for line in lines]
    if height is not None:
        lines = lines[: height - 1]
        lines += [("",)] * (height - 1 - len(lines))
        lines.append(_cut(_foot(view), width))
    return lines


def _head(seen: Seen, now: float) -> Iterator[Line]:
    status, live = seen.status, seen.live
    if status is None or live is None:
        yield (("infergate", "bold"), "  ", (seen.problem or "asking …", "yellow"))
        return
    clock = time.strftime("%H:%M:%S", time.localtime(live.at))
    yield (("infergate", "bold"), f"  {status.url}  revision {status.revision or '-'}  {clock}")
    if seen.problem:
        gone = f"not heard of for {ago(now - seen.since)}: {seen.problem}"
        yield ((gone, "bold red"),)
    elif not status.running:
        yield (("the gateway does not run; `infergate up` starts it", "bold red"),)
    else:
        well = sum(each.state in _WELL for each in status.backends)
        many = len(status.backends)
        requests = sum(each.requests_per_s for each in live.models)
        tokens = sum(each.tokens_per_s for each in live.models)
        yield (
            (f"{well} of {many} backends", "green" if well == many else "red"),
            f"   {requests:.1f} requests/s   {tokens:.0f} tokens/s   "
            f"{sum(live.in_flight.values())} in flight   ",
            (f"{live.waiting} waiting", "yellow" if live.waiting else ""),
        )


def _models(live: LiveNow, view: View) -> _Table:
    order: dict[str, Callable[[ModelNow], Any]] = {
        "busy": lambda each: (-each.requests_per_s, -each.requests),
        "errors": lambda each: -each.errors,
        "slow": lambda each: -(each.first_byte_p95_s or 0),
        "name": lambda each: each.model,
    }
    rows = [
        (
            each.model or "(none named)",
            f"{each.requests_per_s:.2f}",
            f"{each.tokens_per_s:.0f}",
            "" if each.first_byte_p95_s is None else f"{each.first_byte_p95_s:.2f} s",
            (str(each.waiting), "yellow" if each.waiting else ""),
            f"{each.requests:,}",
            (f"{each.errors:,}", "red" if each.errors else ""),
        )
        for each in sorted(live.models, key=lambda each: (order[view.sort](each), each.model))
    ]
    head = ("MODEL", "REQ/S", "TOK/S", "BEGAN P95", "WAIT", "LAST HOUR", "ERRORS")
    return _Table("models", head, (_NAME, -7, -7, -9, -5, -9), rows, True)


def _backends(status: Status, seen: Seen, view: View) -> _Table:
    order: dict[str, Callable[[BackendState], Any]] = {
        "busy": lambda each: -each.in_flight,
        "errors": lambda each: each.since,
        "slow": lambda each: -(each.latency_ms or 0),
        "name": lambda each: each.name,
    }
    rows = [
        (
            each.name,
            (each.state, _COLOURS.get(each.state, "yellow")),
            str(each.in_flight),
            "" if each.waiting is None else str(each.waiting),
            "" if each.kv_cache_use is None else f"{each.kv_cache_use:.0%}",
            f"{seen.tokens_per_s[each.name]:.0f}" if each.name in seen.tokens_per_s else "",
            ", ".join(each.models) if each.state == "up" else each.reason,
        )
        for each in sorted(
            status.backends,
            key=lambda each: (each.state in _WELL, order[view.sort](each), each.name),
        )
    ]
    head = ("BACKEND", "STATE", "BUSY", "WAIT", "KV", "TOK/S", "MODELS, OR WHY NOT")
    return _Table("backends", head, (_NAME, 8, -4, -4, -4, -6), rows)


def _keys(seen: Seen, view: View) -> _Table:
    order: dict[str, Callable[[KeyNow], Any]] = {
        "busy": lambda each: -each.requests,
        "errors": lambda each: -each.errors,
        "slow": lambda each: -each.tokens,
        "name": lambda _each: 0,
    }
    rows = [
        (
            name,
            f"{each.requests:,}",
            f"{each.tokens:,}",
            (f"{each.errors:,}", "red" if each.errors else ""),
            "",
        )
        for name, each in sorted(
            seen.keys.items(), key=lambda pair: (order[view.sort](pair[1]), pair[0])
        )
    ]
    of = " of a part" if seen.missed else ""
    head = ("KEY", "LAST MIN", "TOKENS", "ERRORS", of)
    return _Table("keys", head, (_NAME, -9, -9, -7), rows)


def _shares(tables: Sequence[_Table], room: int | None) -> list[int]:
    """Rows of each table, so that each has what it needs or a fair part of the lines there are."""
    if room is None:
        return [len(each.rows) for each in tables]
    left = max(0, room - 2 * len(tables))  # a head and an empty line each
    shares = [0] * len(tables)
    by_need = sorted(range(len(tables)), key=lambda at: len(tables[at].rows))
    for done, at in enumerate(by_need):
        shares[at] = min(len(tables[at].rows), left // (len(tables) - done))
        left -= shares[at]
    return shares


def _drawn(table: _Table, count: int, skip: int, width: int) -> Iterator[Line]:
    skip = max(0, min(skip, len(table.rows) - count))
    rows = table.rows[skip : skip + count]
    name = max(_SHORTEST_NAME, table.widths[0] + min(0, width - 80))
    widths = (name, *table.widths[1:])
    last = max(0, width - sum(abs(each) + 1 for each in widths))
    widths = (*widths, -last if table.number_last else last)
    head = [(name, "bold") for name in table.head]
    if len(rows) < len(table.rows):
        of = f" {skip + 1}-{skip + len(rows)}/{len(table.rows)}" if rows else ""
        head[0] = (f"{table.head[0]}{of}", "bold")
    yield _row(head, widths)
    for row in rows:
        yield _row(row, widths)
    yield ("",)


def _row(cells: Sequence[Cell], widths: Sequence[int]) -> Line:
    line: list[Cell] = []
    for at, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        text, style = (cell, "") if isinstance(cell, str) else cell
        fitted = _fitted(shown(text), abs(wide), right=wide < 0)
        line += [(fitted, style)] if at == 0 else [" ", (fitted, style)]
    return tuple(line)


def _fitted(text: str, width: int, *, right: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def _cut(line: Line, width: int) -> Line:
    found: list[Cell] = []
    left = width
    for cell in line:
        text, style = (cell, "") if isinstance(cell, str) else cell
        text = shown(text)
        if cell_len(text) > left:
            text = set_cell_size(text, left)
        found.append((text, style))
        left -= cell_len(text)
    return tuple(found)


def _foot(view: View) -> Line:
    paused = "p go on" if view.paused else "p pause"
    text = f"q quit  s {view.sort}  tab {view.part or 'all'}  {paused}  ↑↓ scroll"
    return ((text, "reverse"),)
