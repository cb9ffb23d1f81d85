"""The zones of shared memory that njs keeps its state in, and how large each must be.

nginx takes a zone over at a reload only if its size is the same; else the new one is empty, and njs
loads the snapshots into it (njs/snapshot.js). So sizes move in powers of two, with room: what is
needed now fills half at most. Memory that nothing is written to costs nothing but addresses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infergate.contract.numbers import FOR_EVER_MS, HEDGE_BUCKETS, TOKEN_MS
from infergate.nginx.compiled_route import backends_of
from infergate.nginx.relays import awaits
from infergate.paths import Home

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig
    from infergate.config.root import Config

PAGE = 4096
MB = 1 << 20
NODE = 112
"""An entry without its key and value: ngx_js_dict_node_t (njs, nginx/ngx_js_shared_dict.c)."""

_PAGE_HEADER = 24  # ngx_slab_page_t
_ROOM = 2
_WORKERS_OF_AUTO = 64
_GENERATIONS = 4
"""Of workers that live at the same time: old ones finish their streams after a reload."""

_NUMBER = 256
"""An entry of a number under a key of up to 144 bytes."""
_BYTES_PER_PAIR = 60
"""Of a backend of a model, in a route (state/route.py)."""
_QUEUED = 1024
"""A ticket in the queue, and the slot it is given."""
_BLOCK, _BLOCKS = 512, 256
"""Of the index of prompts (njs/blocks.js): an entry, and how many there are for a backend. A KV
cache of 800,000 tokens is 400 blocks of 8 kB."""
_FOR_EVER = f"{FOR_EVER_MS // 86_400_000}d"
_BUCKETS = HEDGE_BUCKETS + 4
"""Entries of the times of one model: its buckets from 0 on, their count, the percentile."""


@dataclass(frozen=True)
class Zone:
    """name: without "ig_". parameters: of js_shared_dict_zone. evicts: it gives up its oldest
    entries rather than be full."""

    name: str
    mb: int
    parameters: str = ""

    @property
    def evicts(self) -> bool:
        return self.parameters.endswith("evict")


@dataclass(frozen=True)
class Needs:
    """Bytes that snapshots and files will take in shared memory, and how many keys these are, and
    pairs of a model and a backend that serves it."""

    keys: int = 0
    keys_bytes: int = 0
    routes_bytes: int = 0
    pairs: int = 0
    catalog_bytes: int = 0


def slab(size: int) -> int:
    """Bytes that nginx's slab allocator takes for so many: a power of two up to half a page, whole
    pages above (https://github.com/nginx/nginx/blob/master/src/core/ngx_slab.c)."""
    if size > PAGE // 2:
        return -(-size // PAGE) * PAGE
    return max(8, 1 << (max(1, size) - 1).bit_length())


def entry_bytes(key: str, value: str | None = None) -> int:
    """What an entry takes; value: None for a number."""
    node = slab(NODE + len(key.encode()))
    return node if value is None else node + slab(len(value.encode()))


def capacity(mb: int) -> int:
    """Bytes of a zone of this size that entries can take."""
    return (mb * MB // (PAGE + _PAGE_HEADER) - 2) * PAGE


def needs(loaded: LoadedConfig, home: Home) -> Needs:
    """From the snapshots, and from what the configuration adds to them."""
    keys = _entries(home.keys_snapshot, "keys")
    routes = _entries(home.routes_snapshot, "routes")
    catalog = _entries(home.routes_snapshot, "catalog")
    config = loaded.config
    count = len(keys) + len(config.auth.keys) + _lines_of_keys_file(loaded)
    declared = sum(
        (1 + len(model.aliases)) * (1024 + 2 * _BYTES_PER_PAIR * len(model.backends))
        for model in config.models.values()
    )
    return Needs(
        keys=count,
        keys_bytes=_sum(keys) + (count - len(keys)) * 1024,
        routes_bytes=_sum(routes) + declared,
        pairs=_pairs(routes.values())
        + sum(len(model.backends) for model in config.models.values()),
        # A list is one value; a new one is written before the old one goes.
        catalog_bytes=2 * (_sum(catalog) + 512 * len(config.models)),
    )


def _pairs(routes: Iterable[str]) -> int:
    try:
        return sum(len(backends_of(route)) for route in set(routes))
    except (ValueError, TypeError, LookupError, RecursionError):
        return 0  # as in _entries


def _sum(entries: Mapping[str, str]) -> int:
    return sum(entry_bytes(key, value) for key, value in entries.items())


def _entries(snapshot: Path, part: str) -> dict[str, str]:
    try:
        document: dict[str, Any] = json.loads(snapshot.read_text(encoding="utf-8"))
        return dict(document[part]["set"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}  # whoever writes it makes it anew


def _lines_of_keys_file(loaded: LoadedConfig) -> int:
    name = loaded.config.auth.keys_file
    if name is None:
        return 0
    try:
        return loaded.resolve(name).read_bytes().count(b"\n") + 1
    except OSError:
        return 0


def zones(config: Config, need: Needs) -> tuple[Zone, ...]:
    """All zones that are there whatever is configured; those of services, caches and hedging have
    fixed sizes and give up their oldest entries."""
    backends, models = len(config.backends), len(config.models)
    workers = config.workers if isinstance(config.workers, int) else _WORKERS_OF_AUTO
    queued = sum(_queue_length(config, model) for model in config.models.values())
    hedged = sum(model.hedge is not None for model in config.models.values())
    # One size, because one mark says that both are loaded (njs/snapshot.js).
    lists = _mb(8, need.routes_bytes, need.catalog_bytes)
    number, numbers = "type=number", _NUMBER * (backends + models)
    return (
        Zone("keys", _mb(16, need.keys_bytes)),
        Zone("routes", lists),
        Zone("catalog", lists),
        Zone("backends", _mb(1, backends * (_NUMBER + 64))),
        # A key that has requests in two workers has three entries. Its timeout is njs/charge.js's.
        Zone(
            "inflight",
            _mb(
                2,
                3 * backends * _NUMBER * workers * _GENERATIONS
                + 5 * numbers
                + 3 * _NUMBER * need.keys,
            ),
            f"{number} timeout={_FOR_EVER}",
        ),
        Zone("load", _mb(1, numbers), number),
        Zone("engines", _mb(1, backends * 2 * _NUMBER)),
        Zone("blocks", _mb(8, _BLOCKS * _BLOCK * backends // _ROOM), "timeout=30d evict"),
        Zone("turns", _mb(2, (7 * models + need.pairs) * _NUMBER), number),
        Zone(
            "limits",
            _mb(4, 2 * _NUMBER * (need.keys + models) // _ROOM),
            f"{number} timeout=120s evict",
        ),
        Zone("affinity", 8, "timeout=1h evict"),
        Zone("breakers", _mb(1, backends * 2 * _NUMBER)),
        Zone("retries", _mb(1, max(models, need.pairs // 8) * 2 * _NUMBER)),
        Zone("queue", _mb(8, queued * _QUEUED)),
        Zone("shadow", 20 if any(model.shadow for model in config.models.values()) else 1),
        Zone("waiting", _mb(2, 3 * _NUMBER * models), number),
        Zone("tags", 2, f"{number} timeout=10m evict"),
        Zone("locks", _mb(1, numbers), f"{number} timeout=5s"),
        Zone("ended", 1, "timeout=60s evict"),  # WebSockets that are over (njs/watch.js)
        *(
            (
                Zone(
                    "hedge", _mb(2, 2 * _BUCKETS * _NUMBER * hedged), f"{number} timeout=24h evict"
                ),
                Zone("hedging", 1, f"{number} timeout=2h"),
            )
            if hedged
            else ()
        ),
        *((Zone("lent", 4, f"timeout={TOKEN_MS // 1000}s"),) if config.api else ()),
        *((Zone("late", 2, f"{number} timeout=24h evict"),) if awaits(config) else ()),
    )


def _queue_length(config: Config, model: Any) -> int:
    return int((model.queue or config.queue).max_length)


def _mb(least: int, *needed: int) -> int:
    """Megabytes that hold each of these with room, a power of two; not below `least`."""
    most = max(needed, default=0) * _ROOM
    mb = least
    while capacity(mb) < most:
        mb *= 2
    return mb


@dataclass(frozen=True)
class Fill:
    """How full a zone is. bytes: its size. used: 0 to 1, of its pages. evicts: see Zone."""

    zone: str
    bytes: int
    used: float
    evicts: bool

    @property
    def is_short(self) -> bool:
        """Whether somebody should hear of it: what gives up its oldest entries may be full."""
        return not self.evicts and self.used >= WARNED_FROM


WARNED_FROM = 0.8


def fills(told: Mapping[str, Iterable[int]]) -> tuple[Fill, ...]:
    """What nginx says of its zones (njs/push.js): name → size, free bytes, whether it evicts."""
    found = []
    for name, (size, free, evicts) in told.items():
        usable = math.floor(size / (PAGE + _PAGE_HEADER)) * PAGE
        found.append(Fill(f"ig_{name}", size, min(1.0, max(0.0, 1 - free / usable)), bool(evicts)))
    return tuple(found)
