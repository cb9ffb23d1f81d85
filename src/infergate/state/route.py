"""One route: everything njs has to know to bring a model's request to a backend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from infergate.config.backends import Backend
from infergate.config.guardrails import guards_of
from infergate.config.models import Model
from infergate.config.params import Params
from infergate.config.policies import Rates, Retries
from infergate.config.root import Config
from infergate.contract.route import BackendFlag, BucketOf, RouteBackend
from infergate.health.inventory import Inventory
from infergate.health.model_size import size_of
from infergate.kinds import KINDS, KindName
from infergate.nginx.quick import is_quick, quick_relay
from infergate.nginx.relays import SLOWEST_MS, held_from, ladder, relay_for, timeouts_of

_LIKE = RouteBackend.WEIGHT
"""From here on, backends of one list may be alike."""

_BY_LOAD = frozenset({"least_busy", "least_conn", "work"})
"""Ways of balancing to which backends are alike that differ in nothing but how busy they are."""

_IN_TURN = _BY_LOAD | {"round_robin"}
"""Ways of balancing by which idle backends take turns, as their weights say."""

_NOT_QUICK = frozenset(
    {
        *("canary", "shadow", "total", "endpoints", "priority"),
        *("hedge", "params", "ladder", "gone", "continues", "guardrails"),
    }
)
"""Options that the short way knows nothing of."""

_MS_PER_BILLION = 5.0
"""For a token, on what people run a model of that size on: 8B at 25 tokens a second, 32B at 6.
What is measured (njs/pace.js) is known after eight answers."""

LATEST = ":latest"
"""Ollama takes a name without a tag for this one."""

LONGEST_SEQUENCE = 128
"""Turns of a weighted round; weights that need more are rounded."""


def compile_route(
    config: Config,
    name: str,
    model: Model,
    inventories: Mapping[str, Inventory],
    fingerprint: str = "",
    asked: str | None = None,
) -> list[Any]:
    """The places of contract.route.Route, which njs/route.js describes, and
    nginx/compiled_route.py reads them. Options are
    there only where they differ from what njs does without them.

    fingerprint: of the configuration, by nginx.keeping.who_answers. asked: the name or alias that
        this route is for; the model's own, if not said.
    """
    backends = [_backend(config, each, name, model, inventories) for each in model.backends]
    options = {
        **_limits(config, name, model),
        **_alternatives(config, model),
        **_request_options(config, model, fingerprint),
        **_times(config, model),
    }
    if gone := _gone(name, model, asked or name):
        options["gone"] = gone
        options.pop("cache", None)  # what is kept is given with no look at the time
    if guards := guards_of(config, model):
        options["guardrails"] = guards
        options.pop("cache", None)  # nor with a look at what it is
    if any(BackendFlag.PRIORITY in backend[RouteBackend.FLAGS] for backend in backends):
        options["priority"] = 1
    if not _is_quick(config, model, options, backends):
        options["slow"] = 1
    names = list(model.backends) if backends and _are_equal(model, backends) else 0
    if names and all(each[_LIKE:] == backends[0][_LIKE:] for each in backends):
        backends = backends[:1]
    # Where there is no choice, nothing has to be weighed.
    balance = "least_busy" if model.balance == "work" and len(model.backends) < 2 else model.balance
    return [name, balance, backends, options or 0, names, *_pace(name, model, inventories)]


def _gone(name: str, model: Model, asked: str) -> list[Any] | None:
    """The places of contract.route.GoneOption, of a name that is refused one day."""
    said = model.deprecated.get(asked)
    if said is None or said.gone_at is None:
        return None
    instead = f" Ask for `{name}`." if asked != name else ""
    page = f" See {said.link}" if said.link else ""
    return [said.gone_at * 1000, f"is gone since {said.sunset}.{instead}{page}"]


def _are_equal(model: Model, backends: list[list[Any]]) -> bool:
    """Whether they differ in nothing but how busy they are."""
    return model.balance in _BY_LOAD and all(
        each[RouteBackend.WEIGHT : RouteBackend.UPSTREAM_NAME] == [1, 0]
        and BackendFlag.COLD not in each[RouteBackend.FLAGS]
        and not each[RouteBackend.PRIORITY :]
        for each in backends
    )


def _limits(config: Config, name: str, model: Model) -> dict[str, Any]:
    options: dict[str, Any] = {}
    limits = [
        [bucket, *numbers]
        for bucket, rates in (
            (f"{BucketOf.MODEL}{name}", model.limits),
            (BucketOf.GATEWAY, config.limits),
        )
        if any(numbers := _numbers(rates))
    ]
    if limits:
        options["limits"] = limits
    queue = model.queue or config.queue
    # Also where another backend has no limit: what failed there waits for those that have.
    if any(config.backends[each].max_in_flight for each in model.backends):
        options["queue"] = [queue.max_length, _ms(queue.max_wait), _ms(queue.ageing)]
    return options


def _alternatives(config: Config, model: Model) -> dict[str, Any]:
    """Where else a request may go, or goes too, and which backend comes next."""
    options: dict[str, Any] = {}
    retries = model.retries or config.retries
    if retries != Retries():
        options["retries"] = [retries.attempts, retries.budget, held_from(retries)]
    if model.fallback:
        options["fallback"] = list(model.fallback)
    if model.continuations:
        options["continues"] = model.continuations
    if model.canary is not None:
        options["canary"] = [model.canary.model, model.canary.percent]
    if model.shadow is not None:
        shadowed = model.name_at(model.shadow.backend)
        options["shadow"] = [model.shadow.backend, model.shadow.percent, shadowed or ""]
    if model.hedge is not None and len(model.backends) > 1:
        options["hedge"] = model.hedge.extra_load
    if model.balance == "session":
        options["session"] = model.session_header
    weights = [config.backends[each].weight for each in model.backends]
    if model.balance in _IN_TURN and len(set(weights)) > 1:
        options["sequence"] = smooth_sequence(weights)
    return options


def _request_options(config: Config, model: Model, fingerprint: str) -> dict[str, Any]:
    """What is done with what the client wrote."""
    options: dict[str, Any] = {}
    if model.cache is not None and model.canary is None:
        options["cache"] = [
            _ms(model.cache.ttl),
            *map(int, (model.cache.shared, model.cache.completions)),
            fingerprint,
        ]
    validation = model.validation or config.validation
    if validation != "lenient":
        options["validation"] = validation
    if params := _params(model.params):
        options["params"] = params
    return options


def _times(config: Config, model: Model) -> dict[str, Any]:
    options: dict[str, Any] = {}
    timeouts = timeouts_of(config, model)
    if timeouts.total is not None:
        options["total"] = _ms(timeouts.total)
    if model.timeouts is not None:
        options["ladder"] = ladder(timeouts)
    elif config.endpoints:
        options["endpoints"] = {
            path: [
                [relay_for(config.backends[each], own).name for each in model.backends],
                *ladder(own),
            ]
            for path, own in config.endpoints.items()
        }
    return options


def _pace(name: str, model: Model, inventories: Mapping[str, Inventory]) -> list[float]:
    """Milliseconds for a token, as its size tells; nothing where nobody knows it, or none is asked
    about it (njs/first_byte.js)."""
    wanted = [(backend, model.name_at(backend) or name) for backend in model.backends]
    told = (
        info
        for backend, its in wanted
        if (inventory := inventories.get(backend)) is not None
        for info in inventory.models
        if info.id in (its, its + LATEST)
    )
    size = model.size or size_of([name, *(its for _, its in wanted)], told)
    return [round(min(size * _MS_PER_BILLION, SLOWEST_MS), 1)] if size else []


def _params(params: Params) -> list[list[Any]]:
    """[name, value as JSON or None to take it out, 1 if only where the client says nothing]."""
    return [
        *([name, None, 0] for name in params.strip),
        *([name, _json(value), 0] for name, value in params.set.items()),
        *([name, _json(value), 1] for name, value in params.default.items()),
    ]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _is_quick(
    config: Config, model: Model, options: Mapping[str, Any], backends: list[list[Any]]
) -> bool:
    """Whether its usual requests can take the short way (njs/hot.js)."""
    return (
        not _NOT_QUICK & options.keys()
        and not quick_relay(config).is_watched
        and not any(backend[RouteBackend.RELAY] for backend in backends)
        and all(is_quick(config.backends[each]) for each in model.backends)
    )


def _backend(
    config: Config, backend: str, name: str, model: Model, inventories: Mapping[str, Inventory]
) -> list[Any]:
    declared = config.backends[backend]
    wanted = model.name_at(backend) or name
    inventory = inventories.get(backend)
    kind = kind_of(declared, inventory)
    loaded = inventory is not None and any(
        info.loaded for info in inventory.models if info.id in (wanted, wanted + LATEST)
    )
    flags = "".join(
        flag
        for flag, raised in (
            (KINDS[kind].letter if kind else "", kind is not None),
            (BackendFlag.COLD, kind == "ollama" and not loaded),
            (BackendFlag.PRIORITY, declared.pass_priority),
            (BackendFlag.USAGE, kind is not None and KINDS[kind].counts_usage),
            (BackendFlag.ANTHROPIC, f".{declared.host}".endswith(".anthropic.com")),
        )
        if raised
    )
    relay = relay_for(declared, timeouts_of(config, model))
    return [
        backend,
        declared.weight,
        declared.max_in_flight or 0,
        model.name_at(backend) or "",
        flags,
        "" if relay == quick_relay(config) else relay.name,
        *([declared.step] if declared.step else []),
    ]


def kind_of(declared: Backend, inventory: Inventory | None) -> KindName | None:
    """What the file says, or else itself; None while nobody does."""
    if declared.engine != "auto":
        return declared.engine
    return inventory.kind if inventory else None


def is_ollama(config: Config, backend: str, inventories: Mapping[str, Inventory]) -> bool:
    """Whether this backend speaks Ollama's own API."""
    return kind_of(config.backends[backend], inventories.get(backend)) == "ollama"


def _numbers(rates: Rates) -> list[int]:
    each = (rates.requests_per_minute, rates.tokens_per_minute, rates.concurrent)
    return [number or 0 for number in each]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def smooth_sequence(weights: list[int]) -> list[int]:
    """The turns of one round as nginx's smooth weighted round robin would take them: indices into
    `weights`, each as often as it weighs, spread evenly.

    https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1
    """
    divisor = math.gcd(*weights)
    shares = [weight // divisor for weight in weights]
    if sum(shares) > LONGEST_SEQUENCE:
        scale = LONGEST_SEQUENCE / sum(shares)
        shares = [max(1, round(share * scale)) for share in shares]
    current = [0] * len(shares)
    turns = []
    for _ in range(sum(shares)):
        current = [have + share for have, share in zip(current, shares, strict=True)]
        best = max(range(len(current)), key=lambda index: (current[index], -index))
        current[best] -= sum(shares)
        turns.append(best)
    return turns
