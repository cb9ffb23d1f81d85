"""Compose files with Open WebUI, and the engines beside it
(https://github.com/open-webui/open-webui, docker-compose.yaml; its environment variables)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container
from typing import Any
from urllib.parse import urlsplit

from infergate.config.addresses import is_ip
from infergate.imports.draft import Draft
from infergate.imports.values import (
    address_of,
    is_placeholder,
    items,
    mapping,
    usable_url,
    variable,
)
from infergate.kinds import KINDS

_ENGINES = tuple(kind for kind in KINDS.values() if kind.image and kind.port)
_WEB = (
    # part of the image's name, port, the auth that fits
    ("open-webui", 8080, "none"),
    ("openwebui", 8080, "none"),
    ("n8nio/n8n", 5678, "none"),
    ("qdrant/qdrant", 6333, "key"),
    ("chromadb/chroma", 8000, "key"),
    ("portainer/portainer", 9000, "none"),
)
_GATEWAYS = {"litellm": "LiteLLM", "thushan/olla": "Olla", "llama-swap": "llama-swap"}
_DEFAULT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}")
_LISTS = re.compile(r"[;,]")


def is_compose(data: dict[str, Any]) -> bool:
    services = mapping(data.get("services"))
    return bool(services) and any(
        {"image", "build", "environment"} & mapping(each).keys() for each in services.values()
    )


def read_compose(data: dict[str, Any], file: str, draft: Draft) -> None:
    """Put what it says into the draft."""
    services = {name: mapping(each) for name, each in mapping(data["services"]).items()}
    images = {name: _resolved(str(each.get("image", ""))) for name, each in services.items()}
    gateways = {
        name: next(known for part, known in _GATEWAYS.items() if part in image)
        for name, image in images.items()
        if any(part in image for part in _GATEWAYS)
    }
    for name, other in gateways.items():
        draft.yours(
            f"{file}, services {name}",
            f"is {other}: import its own configuration, too; this replaces it",
        )
    engines = [name for name in images if any(kind.image in images[name] for kind in _ENGINES)]
    for name in engines:
        _engine(name, services[name], images[name], draft)
    named = bool(engines)
    for name, said in services.items():
        place, image = f"{file}, services {name}", images[name]
        if name in engines or name in gateways:
            continue
        if any(part in image or part in name for part, *_ in _WEB):
            _web(name, said, image, place, gateways, draft)
            named = True
        elif not _is_ours(f"{image} {name}"):
            draft.lost(place, f"{image or name} is no engine or web service that is known")
    if named:
        draft.yours(
            file,
            "addresses are names of the compose network: run the gateway in it, or write "
            "127.0.0.1 and published ports",
        )


def _is_ours(image: str) -> bool:
    return any(part in image for part in ("nginx", "postgres", "redis", "valkey", "infergate"))


def _engine(name: str, said: dict[str, Any], image: str, draft: Draft) -> None:
    kind = next(each for each in _ENGINES if each.image in image)
    port, option = kind.port, kind.port_option
    words = said.get("command", [])
    words = (
        shlex.split(_resolved(words)) if isinstance(words, str) else [str(w) for w in items(words)]
    )
    for at, word in enumerate(words):
        if option and word == option and at + 1 < len(words) and words[at + 1].isdigit():
            port = int(words[at + 1])
        elif option and word.startswith(f"{option}=") and word.partition("=")[2].isdigit():
            port = int(word.partition("=")[2])
    _have(draft, name, {"url": f"http://{name}:{port}", "engine": kind.name})


def _have(draft: Draft, wanted: str, settings: dict[str, Any]) -> None:
    """A backend, unless its URL is there: an engine is named by itself and by who asks it."""
    known = draft.section("backends").values()
    if all(each.get("url") != settings["url"] for each in known):
        draft.backend(wanted, settings)


def _web(
    name: str,
    said: dict[str, Any],
    image: str,
    place: str,
    gateways: Container[str],
    draft: Draft,
) -> None:
    part, port, auth = next(each for each in _WEB if each[0] in image or each[0] in name)
    environ = _environment(said.get("environment"))
    settings: dict[str, Any] = {"url": f"http://{name}:{port}"}
    if auth == "none":
        given = urlsplit(environ.get("WEBUI_URL", "")).hostname or ""
        host = given if "." in given and not is_ip(given) else f"{part.split('/')[-1]}.localhost"
        settings["host"] = host
        settings["auth"] = auth
        draft.yours(place, f"is served under a host name of its own, here {host}; it has its login")
    else:
        settings["path"] = f"/{name}/"
    draft.service(name, settings)
    if part in ("open-webui", "openwebui"):
        _what_it_asks(environ, place, gateways, draft)


def _what_it_asks(
    environ: dict[str, str], place: str, gateways: Container[str], draft: Draft
) -> None:
    ollama = environ.get("OLLAMA_BASE_URLS") or environ.get("OLLAMA_BASE_URL") or ""
    for text in _LISTS.split(ollama):
        if (url := usable_url(text)) and urlsplit(url).hostname in gateways:
            continue
        if url:
            _have(draft, f"ollama-{address_of(url)}", {"url": url, "engine": "ollama"})
        elif text.strip() not in ("", "/ollama"):
            draft.lost(place, "OLLAMA_BASE_URL cannot be used")
    urls = environ.get("OPENAI_API_BASE_URLS") or environ.get("OPENAI_API_BASE_URL") or ""
    keys = (environ.get("OPENAI_API_KEYS") or environ.get("OPENAI_API_KEY") or "").split(";")
    for number, text in enumerate(urls.split(";")):
        url = usable_url(text)
        if url is None or urlsplit(url).hostname in gateways:
            continue
        settings: dict[str, Any] = {"url": url}
        key = keys[number].strip() if number < len(keys) else ""
        if found := re.fullmatch(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", key):
            settings["api_key"] = f"${{{found[1]}}}"
        elif not is_placeholder(key):
            name = variable("openai", address_of(url), "key")
            settings["api_key"] = f"${{{name}}}"
            draft.wrong(place, f"OPENAI_API_KEY is in clear: put it into the environment as {name}")
        _have(draft, f"openai-{address_of(url)}", settings)
    if environ.get("WEBUI_SECRET_KEY", "x") == "":
        draft.wrong(place, "WEBUI_SECRET_KEY is empty: sessions end whenever it starts anew")
    draft.yours(
        place,
        "have it ask the gateway: OPENAI_API_BASE_URL=http://GATEWAY:8080/v1 with a key from "
        "`infergate keys create open-webui`, and ENABLE_OLLAMA_API=false",
    )


def _environment(value: Any) -> dict[str, str]:
    """As a list of NAME=value, or as a mapping."""
    pairs = [str(each).partition("=")[::2] for each in items(value)]
    pairs += [(name, "" if each is None else str(each)) for name, each in mapping(value).items()]
    return {name.strip(): _resolved(text).strip().strip("'\"") for name, text in pairs}


def _resolved(text: str) -> str:
    """`${NAME:-default}` is its default; one without a default stays."""
    return _DEFAULT.sub(lambda found: found[0] if found[2] is None else found[2], text)
