"""LiteLLM's config.yaml (https://docs.litellm.ai/docs/proxy/configs)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from infergate.config.known_params import TYPES, problem
from infergate.imports.draft import Draft, seconds_text
from infergate.imports.values import (
    address_of,
    declare_keys,
    is_placeholder,
    items,
    mapping,
    rest,
    seconds,
    usable_url,
    variable,
    whole,
)

_ENVIRONMENT = "os.environ/"
_ENGINES = {
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "infinity": "infinity",
    "openai": None,
    "openai_like": None,
    "custom_openai": None,
    "text-completion-openai": None,
    "llamafile": None,
    "lm_studio": None,
    "litellm_proxy": None,
}
"""Providers that are an OpenAI-compatible server of one's own, and which; None: auto finds out."""

_CLOUDS = {
    "openai": "https://api.openai.com",
    "groq": "https://api.groq.com/openai",
    "mistral": "https://api.mistral.ai",
    "deepseek": "https://api.deepseek.com",
    "together_ai": "https://api.together.xyz",
    "openrouter": "https://openrouter.ai/api",
}
"""Those that are called as OpenAI is, where no api_base is given."""

_STRATEGIES = {"least-busy": "least_busy", "simple-shuffle": "round_robin"}
_UNDERSTOOD = ("model_list", "router_settings", "litellm_settings", "general_settings")
_QUIET = (
    *("set_verbose", "drop_params", "telemetry", "json_logs", "success_callback"),
    *("failure_callback", "callbacks", "turn_off_message_logging", "redact_user_api_key_info"),
    *("modify_params",),
)
"""About its own logs, and what the gateway does anyway: parameters are passed on as they are."""


_KNOWN = (
    *("model", "api_base", "api_key", "rpm", "tpm", "timeout", "weight", "api_version", "order"),
    *("max_parallel_requests", "headers", "extra_headers"),
)
_PASSED = ("top_k", "min_p", "repetition_penalty", "reasoning_effort", "response_format")
_NO_PARAMS = ("stream", "stream_options")
_PARAM_HINTS = {
    "stream_timeout": "; timeouts.first_byte is for streams, too",
    "max_retries": "; models.NAME.retries",
    "num_retries": "; models.NAME.retries",
}

_COSTS = (
    ("input_cost_per_token", "input", 1_000_000, 3),
    ("output_cost_per_token", "output", 1_000_000, 3),
    ("cache_read_input_token_cost", "cached_input", 1_000_000, 3),
    ("input_cost_per_query", "per_request", 1, 9),
    ("input_cost_per_second", "per_second", 1, 6),
    ("output_cost_per_second", "per_second", 1, 6),
)
"""Its name, ours, how many of them have our price, and the decimals that this may have."""


def is_litellm(data: dict[str, Any]) -> bool:
    return "model_list" in data or ("litellm_settings" in data and "general_settings" in data)


def read_litellm(data: dict[str, Any], file: str, draft: Draft) -> None:
    """Put what it says into the draft."""
    for number, entry in enumerate(items(data.get("model_list")), start=1):
        _deployment(mapping(entry), f"{file}, model_list {number}", draft)
    router = mapping(data.get("router_settings"))
    settings = mapping(data.get("litellm_settings"))
    _router(router, settings, file, draft)
    _general(mapping(data.get("general_settings")), file, draft)
    for name in rest(data, _UNDERSTOOD):
        draft.lost(f"{file}, {name}", f"{name} has no counterpart here")
    draft.section("listen").setdefault("http", 4000)
    draft.comment("LiteLLM's port, so that clients need no change", "listen", "http")


def _deployment(entry: dict[str, Any], place: str, draft: Draft) -> None:
    name = str(entry.get("model_name", "")).strip()
    params = mapping(entry.get("litellm_params"))
    provider, _, model = str(params.get("model", "")).partition("/")
    if not model:
        provider, model = "openai", provider
    if not name or not model or ("*" in name and name != "*"):
        draft.lost(place, f"model {name!r} is no model of one name")
        return
    backend = _backend(provider, params, place, draft)
    if backend is None:
        return
    section = draft.model(name, backend)
    if model not in (name, "*") and section.setdefault("upstream_name", model) != model:
        draft.lost(
            place,
            f"{name}: its backends call it {section['upstream_name']} and {model}; one name "
            "is kept",
        )
    _limits(entry, params, section, place, draft)
    _price(mapping(entry.get("model_info")), params, section, draft)
    timeout = seconds(params.get("timeout"))
    if timeout is not None:
        section.setdefault("timeouts", {})["first_byte"] = seconds_text(timeout)
    defaults = _defaults(params, section, place, draft)
    for each in rest(params, (*_KNOWN, *defaults, *(cost[0] for cost in _COSTS))):
        draft.lost(
            place, f"litellm_params.{each} has no counterpart here{_PARAM_HINTS.get(each, '')}"
        )


def _defaults(
    params: dict[str, Any], section: dict[str, Any], place: str, draft: Draft
) -> tuple[str, ...]:
    """What requests get where they say nothing. Returns the names that are parameters."""
    found = tuple(name for name in params if name in (*TYPES, *_PASSED) and name not in _NO_PARAMS)
    for name in found:
        value = params[name]
        if said := problem(name, value):
            draft.wrong(place, f"litellm_params.{said}")
            continue
        kept = section.setdefault("params", {}).setdefault("default", {}).setdefault(name, value)
        if kept != value:
            draft.lost(place, f"{name}: a model has one here for all backends; {kept!r} is kept")
    return found


def _backend(provider: str, params: dict[str, Any], place: str, draft: Draft) -> str | None:
    base = params.get("api_base")
    if isinstance(base, str) and base.startswith(_ENVIRONMENT):
        name = base.removeprefix(_ENVIRONMENT)
        draft.yours(place, f"api_base is in the environment ({name}); its port cannot be checked")
        settings: dict[str, Any] = {"url": f"${{{name}}}"}
        wanted = name.lower()
    else:
        url = usable_url(base) if base else _CLOUDS.get(provider)
        if url is None or (base is None and provider not in _CLOUDS):
            draft.lost(
                place,
                f"{provider} is not called as OpenAI is, or has no api_base that can be used",
            )
            return None
        settings, wanted = {"url": url}, f"{provider}-{address_of(url)}"
    engine = _ENGINES.get(provider) if base else "openai"
    if base and provider not in _ENGINES:
        draft.yours(place, f"provider {provider}: taken for an OpenAI-compatible server")
    if engine:
        settings["engine"] = engine
    if (weight := whole(params.get("weight"))) is not None:
        settings["weight"] = min(weight, 1000)
    if (order := whole(params.get("order"))) is not None:
        settings["priority"] = min(max(order - 1, 0), 9)
    if (most := whole(params.get("max_parallel_requests"))) is not None:
        settings["max_in_flight"] = most
    headers = {**mapping(params.get("headers")), **mapping(params.get("extra_headers"))}
    for header, value in headers.items():
        text = _secret(value, f"{wanted}-{header}", place, draft, of=f"header {header}")
        settings.setdefault("headers", {})[str(header)] = text or str(value)
    secret = _secret(params.get("api_key"), wanted, place, draft)
    if secret:
        settings["api_key"] = secret
    return draft.backend(wanted, settings)


def _secret(
    value: Any, wanted: str, place: str, draft: Draft, *, of: str = "api_key"
) -> str | None:
    text = str(value or "").strip()
    if text.startswith(_ENVIRONMENT):
        return f"${{{text.removeprefix(_ENVIRONMENT)}}}"
    if is_placeholder(text):
        return None
    name = variable(wanted, "key")
    draft.wrong(place, f"{of} is in clear: put it into the environment as {name}")
    return f"${{{name}}}"


def _limits(
    entry: dict[str, Any], params: dict[str, Any], section: dict[str, Any], place: str, draft: Draft
) -> None:
    for theirs, ours in (("rpm", "requests_per_minute"), ("tpm", "tokens_per_minute")):
        number = whole(params.get(theirs, entry.get(theirs)))
        if number is not None:
            limits = section.setdefault("limits", {})
            limits[ours] = limits.get(ours, 0) + number
            file = place.partition(",")[0]
            draft.yours(file, f"{theirs} is of one deployment; here a model has the sum of its own")


def _price(
    info: dict[str, Any], params: dict[str, Any], section: dict[str, Any], draft: Draft
) -> None:
    costs = {**info, **params}
    for theirs, ours, of, decimals in _COSTS:
        try:
            cost = Decimal(str(costs[theirs])) * of
        except (KeyError, InvalidOperation):
            continue
        if 0 <= cost <= 1_000_000:
            section.setdefault("price", {})[ours] = float(round(cost, decimals))
            draft.section("usage")["currency"] = "USD"


def _router(router: dict[str, Any], settings: dict[str, Any], file: str, draft: Draft) -> None:
    strategy = router.get("routing_strategy")
    if strategy is not None:
        balance = _STRATEGIES.get(str(strategy))
        if balance is None:
            draft.yours(file, f"routing_strategy {strategy}: least_busy comes nearest")
        for model in draft.section("models").values():
            if balance == "round_robin":
                model["balance"] = balance
    for alias, target in mapping(router.get("model_group_alias")).items():
        model = str(mapping(target).get("model", target))
        if model in draft.section("models"):
            draft.section("models", model).setdefault("aliases", []).append(alias)
        else:
            draft.wrong(file, f"model_group_alias {alias} stands for {model}, which is no model")
    _fallbacks([*items(router.get("fallbacks")), *items(settings.get("fallbacks"))], file, draft)
    _numbers({**settings, **router}, file, draft)
    understood = (
        *("routing_strategy", "model_group_alias", "fallbacks", "num_retries", "timeout"),
        *("request_timeout", "allowed_fails", "cooldown_time", "enable_pre_call_checks"),
    )
    for name in rest({**settings, **router}, (*understood, *_QUIET)):
        draft.lost(file, f"{name} has no counterpart here" + _HINTS.get(name, ""))


_HINTS = {
    "cache": "; models.NAME.cache keeps embeddings",
    "cache_params": "; models.NAME.cache keeps embeddings",
    "redis_host": "; gateways share a PostgreSQL (`store:`)",
    "max_budget": "; budgets are of keys and teams: infergate keys set --budget",
}


def _fallbacks(found: list[Any], file: str, draft: Draft) -> None:
    models = draft.section("models")
    for entry in found:
        for model, others in mapping(entry).items():
            for other in items(others):
                if model not in models or str(other) not in models or model == other:
                    draft.wrong(file, f"fallbacks: {model} to {other}, of which one is no model")
                    continue
                models[model].setdefault("fallback", []).append(str(other))


def _numbers(found: dict[str, Any], file: str, draft: Draft) -> None:
    retries = whole(found.get("num_retries"))
    if retries is not None:
        draft.section("retries")["attempts"] = min(retries + 1, 4)
        if retries > 3:
            draft.yours(file, f"num_retries {retries}: at most 4 attempts, before the first byte")
    timeout = seconds(found.get("request_timeout", found.get("timeout")))
    if timeout is not None:
        draft.section("timeouts")["first_byte"] = seconds_text(timeout)
    if (fails := whole(found.get("allowed_fails"))) is not None:
        draft.section("breaker")["failures"] = min(fails, 1000)
    if (cooldown := seconds(found.get("cooldown_time"))) is not None:
        draft.section("breaker")["cooldown"] = seconds_text(min(cooldown, 300))


def _general(general: dict[str, Any], file: str, draft: Draft) -> None:
    place = f"{file}, general_settings"
    master = str(general.get("master_key") or "")
    if master.startswith(_ENVIRONMENT):
        draft.yours(
            place, "master_key is in the environment: make keys with `infergate keys create`"
        )
    elif master:
        declare_keys(draft, [master], ["master"], place)
    else:
        draft.wrong(
            place, "no master_key: whoever reaches the proxy may use it; here keys are needed"
        )
    if "database_url" in general:
        draft.yours(
            place,
            "virtual keys, teams and spend are in its database, which is not read: make the keys "
            "anew (`infergate keys create`)",
        )
    for name in rest(general, ("master_key", "database_url")):
        draft.lost(place, f"{name} has no counterpart here")
