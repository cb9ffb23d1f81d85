"""llama-swap's config.yaml (https://github.com/mostlygeek/llama-swap, config.example.yaml).

It starts and stops engines, which the gateway does not. So it stays where it is, as a backend that
has its models, and the gateway is what clients ask: keys, limits, usage, other backends beside it.
"""

from __future__ import annotations

import re
from typing import Any

from infergate.imports.draft import Draft, seconds_text
from infergate.imports.values import (
    declare_keys,
    items,
    mapping,
    rest,
    seconds,
    usable_url,
    variable,
    whole,
)

_NAME = "llama-swap"
_URL = "http://127.0.0.1:8080"
"""Where it listens if its command line says nothing else."""
_PORT = 8081
_VARIABLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
_OF_ITS_OWN = (
    *("models", "peers", "apiKeys", "macros", "groups", "matrix", "hooks", "healthCheckTimeout"),
    *("logLevel", "logTimeFormat", "logToStdout", "metricsMaxInMemory", "captureBuffer"),
    *("startPort", "sendLoadingState", "includeAliasesInList", "globalTTL", "unloadTimeout"),
    *("profiles", "selectors", "routing", "performance", "upstream", "ui"),
)


def is_llama_swap(data: dict[str, Any]) -> bool:
    models = mapping(data.get("models"))
    return bool(models) and any("cmd" in mapping(each) for each in models.values())


def read_llama_swap(data: dict[str, Any], file: str, draft: Draft) -> None:
    """Put what it says into the draft."""
    models = mapping(data.get("models"))
    variants = {name: _variants(name, mapping(each)) for name, each in models.items()}
    named = sorted({*models, *(each for found in variants.values() for each in found)})
    settings: dict[str, Any] = {"url": _URL, "engine": "openai", "models": named}
    keys = [str(each) for each in items(data.get("apiKeys")) if each]
    in_clear = [each for each in keys if not _VARIABLE.search(each)]
    declare_keys(
        draft, in_clear, (f"llama-swap-{n}" for n, _ in enumerate(in_clear, 1)), f"{file}, apiKeys"
    )
    if keys:
        name = next((m[1] for each in keys if (m := _VARIABLE.fullmatch(each))), "")
        settings["api_key"] = f"${{{name or variable(_NAME, 'key')}}}"
        draft.yours(file, "llama-swap wants a key of the gateway too: see backends.llama-swap")
    else:
        draft.wrong(file, "no apiKeys: whoever reaches it may use it; here keys are needed")
    if len(in_clear) < len(keys):
        draft.yours(file, "apiKeys of the environment: make them with `infergate keys create`")
    if models:
        backend = draft.backend(_NAME, settings)
        draft.comment("it goes on starting and stopping the engines", "backends", backend)
        for name, each in models.items():
            _model(name, mapping(each), backend, f"{file}, models {name}", draft)
            for variant in variants[name]:
                draft.model(variant, backend)
    for name, each in mapping(data.get("peers")).items():
        _peer(name, mapping(each), f"{file}, peers {name}", draft)
    draft.section("listen").setdefault("http", _PORT)
    draft.comment("llama-swap has 8080 itself", "listen", "http")
    draft.yours(file, f"llama-swap is taken to listen at {_URL}; bind it to loopback alone")
    for name in rest(data, _OF_ITS_OWN):
        draft.lost(f"{file}, {name}", f"{name} is not known")


def _variants(name: str, said: dict[str, Any]) -> list[str]:
    """Names that llama-swap knows for the same model with other parameters."""
    by_id = mapping(mapping(said.get("filters")).get("setParamsByID"))
    found = [each.replace("${MODEL_ID}", name) for each in by_id]
    return [each for each in found if each != name and "${" not in each]


def _model(name: str, said: dict[str, Any], backend: str, place: str, draft: Draft) -> None:
    section = draft.model(name, backend)
    for alias in items(said.get("aliases")):
        text = str(mapping(alias).get("id", alias) if isinstance(alias, dict) else alias)
        section.setdefault("aliases", []).append(text)
    if (most := whole(said.get("concurrencyLimit"))) is not None:
        section["limits"] = {"concurrent": most}
    waited = seconds(mapping(said.get("timeouts")).get("responseHeader"))
    if waited is not None:
        section["timeouts"] = {"first_byte": seconds_text(waited)}
    if said.get("unlisted") is True:
        section["unlisted"] = True
    if mapping(said.get("filters")):
        draft.yours(place, "filters stay active: llama-swap applies them")


def _peer(name: str, said: dict[str, Any], place: str, draft: Draft) -> None:
    url = usable_url(said.get("proxy"))
    if url is None:
        draft.lost(place, "its proxy cannot be used")
        return
    settings: dict[str, Any] = {"url": url, "engine": "openai"}
    key = str(said.get("apiKey") or "")
    if found := _VARIABLE.fullmatch(key):
        settings["api_key"] = f"${{{found[1]}}}"
    elif key:
        settings["api_key"] = f"${{{variable(name, 'key')}}}"
        draft.wrong(
            place, f"apiKey is in clear: put it into the environment as {variable(name, 'key')}"
        )
    models = [str(each) for each in items(said.get("models"))]
    if models:
        settings["models"] = models
    backend = draft.backend(name, settings)
    for model in models:
        draft.model(model, backend)
