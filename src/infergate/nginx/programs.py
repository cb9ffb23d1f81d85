"""The njs programs that the rendered files import, with what they are told of the YAML."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from infergate.config import endpoints, known_params
from infergate.config.budgets import MOST_TOKENS
from infergate.config.deprecated import deprecated_names
from infergate.config.headers import KEYS
from infergate.config.root import Config
from infergate.contract.dialects import TRANSLATED
from infergate.kinds import KINDS
from infergate.nginx.access_line import VERSION, Has, for_njs
from infergate.nginx.keeping import keeps, who_answers
from infergate.nginx.made import made
from infergate.nginx.quick import longest_relay, quick_relay
from infergate.nginx.relays import (
    HELD_FROM_BYTES,
    SHORT_PROMPT_BYTES,
    SLOWEST_MS,
    holds,
    ladder,
    relays_of,
    watches,
)
from infergate.nginx.statuses import INTERNAL
from infergate.nginx.tier import keepers_of
from infergate.nginx.waf import profiles
from infergate.nginx.zones import zones

if TYPE_CHECKING:
    from infergate.nginx.render import Surroundings

_JS_IMPORT = re.compile(r"js_import\s+\w+\s+from (\w+\.js);")
_JOINING = (
    "bundle",
    *(f"njs_{each}" for each in ("calls", "function", "inline", "module", "names", "read")),
)
_NEVER = 2**53
"""Bytes that no body has."""

_SETTING = re.compile(r"\bsettings\$(\w+)")


def programs(files: Mapping[str, str], config: Config, around: Surroundings) -> dict[str, str]:
    """The programs that the rendered files import."""
    names = sorted({name for text in files.values() for name in _JS_IMPORT.findall(text)})
    quick = _quick_limits(config)
    settings = {
        "revision": around.revision,
        "snapshots": [str(path) for path in around.home.snapshots],
        "usual_relay": quick_relay(config).name,
        "relays": f" {' '.join(relay.name for relay in relays_of(config))} ",
        "param_types": dict(known_params.TYPES),
        "param_bounds": dict(known_params.BOUNDS),
        "param_ranges": dict(known_params.RANGES),
        "most_stops": known_params.MOST_STOPS,
        "ladder": ladder(config.timeouts),
        "quick_tokens": quick.tokens,
        "quick_bytes": quick.bytes,
        "held_from": HELD_FROM_BYTES,
        "held_least": _NEVER if (held := holds(config)) is None else held,
        "quick_unsaid": quick.unsaid,
        "quick_rule": quick.rule,
        "quick_long": quick.long,
        "short_prompt": SHORT_PROMPT_BYTES,
        "media": f" {' '.join(endpoints.MEDIA)} ",
        "error_page": around.error_page or _our_page(),
        "default_model": config.default_model or "",
        "most_tokens": MOST_TOKENS,
        "hedged": endpoints.HEDGED_PATHS,
        "several": f" {' '.join(several_addresses(config, around))} ",
        "zones": {zone.name: int(zone.evicts) for zone in zones(config, around.needs)},
        "kept": dict.fromkeys(endpoints.KEPT_PATHS, 1),
        "who_answers": who_answers(config),
        "only": _only(config),
        "keepers": ", ".join(kind.title for kind in KINDS.values() if kind.keeps_answers),
        "kind_names": {kind.letter: kind.title for kind in KINDS.values()},
        "counted": f" {endpoints.COUNTED} ",
        "textless": f" {endpoints.TEXTLESS} ",
        "key_in_query": config.auth.key_in_query,
        "key_headers": f" {' '.join(KEYS).lower()} ",
        "attempts_socket": str(around.home.attempts_socket),
        "watches": int(watches(config)),
        "tier": int(config.api is not None),
        "keeps_responses": int(keepers_of(config)["responses"]),
        "judges": f" {' '.join(_judges(config))} ",
        "waf_blocks": int(profiles(config)[0].mode == "block"),
        "unpacks": int(config.api is not None and profiles(config)[0].mode == "off"),
        "mute": _mute(),
        "continues": int(any(model.continuations for model in config.models.values())),
        "gone_on_with": _gone_on_with(),
        "undecided": INTERNAL.undecided,
        "queue_address": f"unix:{around.home.queue_socket}",
        "attempts_address": f"unix:{around.home.attempts_socket}",
        "line": _line(config),
        "line_version": VERSION,
        "listed": int(config.log.format == "main_ext"),
        "ready": config.health.ready,
        "mark_failed_ms": round(config.health.interval * 1000),
        "breaker": _breaker(config),
    }
    return _written(names, settings)


def _written(names: list[str], settings: Mapping[str, object]) -> dict[str, str]:
    texts = {name: json.dumps(value) for name, value in settings.items()}
    return {
        f"njs/{name}": _SETTING.sub(lambda match: f"({texts[match[1]]})", _program(name))
        for name in names
    }


def _breaker(config: Config) -> dict[str, float]:
    return {
        "failures": config.breaker.failures,
        "error_rate": config.breaker.error_rate,
        "cooldown_ms": round(config.breaker.cooldown * 1000),
        "max_cooldown_ms": round(config.breaker.max_cooldown * 1000),
    }


def _judges(config: Config) -> list[str]:
    """Models that guardrails ask."""
    judges = [each.judge.model for each in config.guardrails.values() if each.judge is not None]
    return list(dict.fromkeys(judges))


def told_of(config: Config) -> Has:
    """What lines of the log tell of."""
    return Has(
        deprecates=any(deprecated_names(config)),
        keeps=keeps(config) is not None,
        traces=config.tracing is not None,
    )


def _line(config: Config) -> object:
    return for_njs(told_of(config), tier=config.api is not None)


class _Quick(NamedTuple):
    """What the short way takes, where the first byte's time is the least: whatever may need more,
    by the rules of njs/first_byte.js, goes the long way.

    tokens: of an answer that is not streamed. bytes: of a body. unsaid: the paths of which such an
    answer must have a length. rule: for the log.
    """

    tokens: int
    bytes: int
    unsaid: str
    rule: str
    long: str


def _quick_limits(config: Config) -> _Quick:
    timeouts, first_ms = config.timeouts, quick_relay(config).first_ms
    is_said = timeouts.first_byte is not None
    by_rules = timeouts.dynamic and not is_said
    return _Quick(
        tokens=first_ms // (2 * SLOWEST_MS) if timeouts.dynamic else MOST_TOKENS,
        bytes=SHORT_PROMPT_BYTES if by_rules else config.limits.max_body,
        unsaid=f" {' '.join(endpoints.GENERATING)} " if by_rules else "",
        rule=f"first byte {first_ms / 1000:g} s: timeouts."
        f"{'first_byte' if is_said else 'default'};",
        long=f"first byte {longest.first_ms / 1000:g} s: not streamed, and no max_tokens;"
        if (longest := longest_relay(config)) is not None
        else "",
    )


def _only(config: Config) -> str:
    """For njs/kinds.js: " /path=letters", each followed by a space."""
    some = {**endpoints.SOME_HAVE, **endpoints.SOME_HAVE_FORMS}
    some |= endpoints.WEBSOCKETS
    some |= dict.fromkeys(endpoints.OLLAMA_HAS, frozenset({"ollama"}))
    if config.api is not None:  # who has them not is spoken to by the tier
        some |= {path: _who_has(path) for path in TRANSLATED if path not in some}
    found = (
        f" {path}={''.join(KINDS[name].letter for name in KINDS if name in kinds)}"
        for path, kinds in some.items()
    )
    return "".join(found) + " "


def _who_has(path: str) -> frozenset[str]:
    return frozenset(name for name, kind in KINDS.items() if path not in kind.lacks)


def _mute() -> str:
    """The letters of the kinds that lack one of TRANSLATED which any backend is asked for."""
    return "".join(kind.letter for kind in KINDS.values() if kind.lacks & set(TRANSLATED))


def _gone_on_with() -> dict[str, dict[str, str]]:
    """Path → letter of a kind → what njs/continued.js writes into a body that ends with a text."""
    return {
        path: {
            kind.letter: "".join(
                f"{json.dumps(name)}:{json.dumps(value)}," for name, value in said.items()
            )
            for kind in KINDS.values()
            if (said := kind.continues.get(path)) is not None and path not in kind.lacks
        }
        for path in dict.fromkeys(path for kind in KINDS.values() for path in kind.continues)
    }


@functools.cache
def _our_page() -> str:
    return (resources.files("infergate.nginx") / "templates" / "error.html").read_text()


@functools.cache
def _program(name: str) -> str:
    files, of = _sources()

    def joined() -> str:
        # With its parser: mostly, this was kept.
        from infergate.nginx.bundle import bundle
        from infergate.nginx.njs_inline import inlined

        return inlined(bundle(name, files.__getitem__))

    return made(name, of, joined)


@functools.cache
def _sources() -> tuple[dict[str, str], bytes]:
    """Our files of njs by name; the digest of them and of what joins them."""
    package = resources.files("infergate.nginx")
    ours = [each for each in (package / "njs").iterdir() if each.name.endswith(".js")]
    joining = (package / f"{name}.py" for name in _JOINING)
    ordered = sorted([*ours, *joining], key=lambda file: file.name)
    files = {each.name: each.read_text() for each in ordered}
    whole = "\0".join(part for file in files.items() for part in file)
    return files, hashlib.sha256(whole.encode()).digest()


def several_addresses(config: Config, around: Surroundings) -> Iterator[str]:
    """The backends at names that have more than one; the short way knows the first of each."""
    for name, backend in config.backends.items():
        if len(around.addresses.get(backend.host, ())) > 1:
            yield name
