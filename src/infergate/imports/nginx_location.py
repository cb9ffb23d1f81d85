"""One `location` of nginx: models behind it, or a web service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from infergate.config.endpoints import PATHS, own_folder
from infergate.config.root import ANY_MODEL
from infergate.imports.draft import Draft
from infergate.imports.nginx_check import read_plus
from infergate.imports.nginx_known import ANSWERS
from infergate.imports.nginx_parts import ImportedUpstream, Map, Parts, direct
from infergate.imports.nginx_read import Directive
from infergate.imports.values import usable_url, variable

_OUR_PATHS = PATHS - {"/health", "/ping", "/healthz", "/readyz", "/version"}
_SERVICES = (
    # name, port, the auth that fits: some have a login of their own
    ("qdrant", 6333, "key"),
    ("chroma", 8000, "key"),
    ("n8n", 5678, "none"),
    ("webui", 8080, "none"),
    ("portainer", 9443, "none"),
    ("grafana", 3000, "none"),
)
_MODELS = re.compile(
    r"(?i)ollama|vllm|llama|llm|sglang|qwen|mistral|embed|rerank|whisper|openai|infer|model|tgi|gpt"
)
_MODEL_PORTS = frozenset((11434, 8000, 8001, 30000, 1234))
_STRIPS = re.compile(r"\^?(?P<path>/[A-Za-z0-9_./-]+?)/?\??\(\.\*\)\$?")


@dataclass(frozen=True)
class _Target:
    """What proxy_pass names. uri: behind it, which replaces the location's path."""

    scheme: str
    upstream: ImportedUpstream | None
    map: Map | None
    uri: str


@dataclass(frozen=True)
class Behind:
    """What is behind a location. relays: it has a proxy_pass. service: its section in the draft;
    None for models, and for a part of a location whose proxy_pass was left out."""

    relays: bool
    service: dict[str, Any] | None = None


def read_location(
    location: Directive, server: Directive, hosts: list[str], parts: Parts, draft: Draft
) -> Behind | None:
    """Put it into the draft. server: around it, with what holds in http.

    None: nothing of it is the gateway's.
    """
    block = location.block or ()
    passes = [each for each in block if each.name == "proxy_pass"]
    path = _path(location)
    if any(each.name == "internal" for each in block):
        return None  # whoever names it says what it is for
    if not passes:
        if any(each.name in ANSWERS for each in block):
            how = " ".join(location.args)
            draft.lost(location.place, f"location {how} is answered by nginx itself")
            return None
        return Behind(relays=False)
    target = _target(passes[-1], parts, draft)
    if target is None:
        return None
    if target.map is not None:
        _by_model(target.map, parts, draft)
        return Behind(relays=True)
    assert target.upstream is not None  # noqa: S101 - one of the two
    for each in location.all("health_check"):
        read_plus(each, target.upstream, draft)
    if _serves_models(path, target.upstream):
        _models(path, target, location, parts, draft)
        return Behind(relays=True)
    service = _service(path, target, location, server, hosts, draft)
    return None if service is None else Behind(relays=True, service=service)


def _path(location: Directive) -> str:
    """As far as it is a prefix: of `~ ^/v1/(.*)$` it is /v1/."""
    text = location.args[-1] if location.args else "/"
    found = re.match(r"\^?(/[A-Za-z0-9_./-]*)", text)
    return found[1] if found else "/"


def _target(each: Directive, parts: Parts, draft: Draft) -> _Target | None:
    found = re.fullmatch(r"(https?)://([^/]+)(/.*)?", each.first)
    if not found:
        draft.lost(each.place, f"proxy_pass {each.first} is not understood")
        return None
    scheme, name, uri = found[1], found[2], found[3] or ""
    if name.startswith("$"):
        known = parts.maps.get(name)
        if known is None:
            draft.lost(each.place, f"proxy_pass to {name}, which no map here says")
            return None
        return _Target(scheme, None, known, uri)
    upstream = parts.upstreams.get(name)
    if upstream is None:
        if usable_url(f"{scheme}://{name}") is None:
            draft.lost(each.place, f"proxy_pass {each.first} is not understood")
            return None
        upstream = parts.upstreams[name] = direct(name, each)
    return _Target(scheme, upstream, None, uri)


def _serves_models(path: str, upstream: ImportedUpstream) -> bool:
    if _known_service(upstream, path) is not None:
        return False
    if path != "/" and any(ours.startswith(path) for ours in _OUR_PATHS):
        return True
    ports = {address.rpartition(":")[2] for address in upstream.addresses}
    about_models = _MODELS.search(upstream.name) or _MODELS.search(path)
    return bool(about_models) or any(p.isdigit() and int(p) in _MODEL_PORTS for p in ports)


def _known_service(upstream: ImportedUpstream, path: str) -> tuple[str, str] | None:
    """Its name and its auth."""
    for name, port, auth in _SERVICES:
        words = f"{upstream.name} {path} {' '.join(upstream.addresses)}"
        by_name = re.search(name, words, re.IGNORECASE)
        by_port = port not in (8000, 8080, 3000) and any(
            address.endswith(f":{port}") for address in upstream.addresses
        )
        if by_name or by_port:
            return name, auth
    return None


def _by_model(found: Map, parts: Parts, draft: Draft) -> None:
    """A map from the model's name to an upstream: that is what `models` is."""
    script = parts.scripts.get(found.source)
    if script is not None:
        how = (
            "its script reads the request's body, which"
            if parts.reads_body
            else ("where its script reads the request's body, that")
        )
        draft.wrong(
            script.place,
            f"js_set {found.source}: {how} is not there yet when nginx picks the upstream: every "
            "request goes to the map's default",
        )
        if not parts.imports_scripts:
            draft.wrong(
                script.place, f"js_set {found.source} {script.args[-1]}: no js_import brings it"
            )
    of: dict[str, list[str]] = {}
    for model, name in found.entries.items():
        upstream = parts.upstreams.get(name)
        if upstream is None:
            draft.wrong(found.place, f"map: {model} goes to {name}, which is no upstream")
            continue
        backends = parts.backends_of(upstream, draft)
        if model == "default" or model.startswith("~") or not backends:
            if model.startswith("~"):
                draft.lost(found.place, f"map: {model} is a pattern; models are named here")
            continue
        section = draft.model(model, *backends)
        if upstream.balance is not None and len(backends) > 1:
            section["balance"] = upstream.balance
        of.setdefault(name, []).append(model)
    default = of.get(found.entries.get("default", ""), [])
    if default:
        draft.settings["default_model"] = default[0]
        draft.comment("where requests went that name no model, or another one", "default_model")
    elif found.entries.get("default"):
        draft.lost(found.place, "map: default goes to an upstream of which no model is named")


def _models(path: str, target: _Target, location: Directive, parts: Parts, draft: Draft) -> None:
    assert target.upstream is not None  # noqa: S101
    backends = parts.backends_of(target.upstream, draft, target.scheme)
    secret = next(
        (e for e in location.all("proxy_set_header") if e.first.lower() == "authorization"), None
    )
    for name in backends if secret is not None and "$" not in secret.args[-1] else ():
        in_environment = variable(name, "key")
        draft.section("backends", name)["api_key"] = f"${{{in_environment}}}"
        draft.wrong(
            location.place,
            f"the backend's key is in clear: put it into the environment as {in_environment}",
        )
    if path in _OUR_PATHS:
        draft.yours(
            location.place,
            f"{path} always went to {target.upstream.name}; the gateway goes by the request's "
            "model, and asks its backends which they have",
        )
    elif not any(ours.startswith(path) for ours in _OUR_PATHS):
        draft.yours(
            location.place,
            f"models were reached below {path}; here at /v1/… and /api/…, by their names",
        )
    models = draft.settings.get("models", {})
    if ANY_MODEL in models and target.upstream.balance is None:
        draft.model(ANY_MODEL, *backends)


def _service(
    path: str,
    target: _Target,
    location: Directive,
    server: Directive,
    hosts: list[str],
    draft: Draft,
) -> dict[str, Any] | None:
    upstream = target.upstream
    assert upstream is not None  # noqa: S101
    upstream.is_service = True
    if not upstream.addresses:
        return None
    if len(upstream.addresses) > 1:
        draft.lost(upstream.place, f"upstream {upstream.name}: a service has one address here")
    known = _known_service(upstream, path)
    base, keeps = target.uri.rstrip("/"), False
    if path != "/" and not target.uri and not _strips(path, location):
        base, keeps = path.rstrip("/"), True
    url = usable_url(f"{target.scheme}://{upstream.addresses[0]}{base}")
    if url is None:
        draft.lost(location.place, f"location {path}: {upstream.addresses[0]} cannot be asked")
        return None
    settings: dict[str, Any] = {"url": url}
    name = known[0] if known else path.strip("/").rpartition("/")[2] or upstream.name
    auth = known[1] if known else "key"
    if path == "/":
        settings["host"] = hosts[0] if hosts else f"{name.replace('_', '-')}.localhost"
        if len(hosts) > 1:
            draft.lost(location.place, f"a service has one host name: {hosts[0]}")
        if not hosts:
            draft.yours(location.place, f"{name} needs a host name of its own")
    else:
        settings["path"] = _free(path.rstrip("/") + "/", name, location, draft)
    settings |= _who_may(location, server, auth, name, draft)
    if target.scheme == "https":
        settings["verify_tls"] = False
        draft.wrong(location.place, f"the certificate of {name} was never checked: verify_tls")
    service = draft.service(name.removesuffix("_service"), settings)
    if keeps:
        draft.comment(f"{path} went on with the request, so it is in the url", "services", service)
    return draft.section("services", service)


def _free(path: str, name: str, location: Directive, draft: Draft) -> str:
    """This path of a service, or another one where it is the gateway's own."""
    if own_folder(path) is None:
        return path
    free = f"/{name}-service/"
    draft.yours(location.place, f"{path} is the gateway's own path: {name} is below {free} here")
    return free


def _strips(path: str, location: Directive) -> bool:
    for each in location.all("rewrite"):
        found = _STRIPS.fullmatch(each.first)
        if (
            found
            and found["path"] == path.rstrip("/")
            and len(each.args) > 1
            and each.args[1] == "/$1"
        ):
            return True
    return False


def _who_may(
    location: Directive, server: Directive, auth: str, name: str, draft: Draft
) -> dict[str, Any]:
    """Never less than the original asked for."""
    users = location.value("auth_basic_user_file") or server.value("auth_basic_user_file")
    basic = location.value("auth_basic") or server.value("auth_basic")
    if users is not None and basic not in (None, "off"):
        draft.yours(location.place, f"users of {name}: passwords need bcrypt or SHA-crypt hashes")
        return {"auth": "basic", "users_file": users}
    asked = location.value("auth_request") or server.value("auth_request")
    if asked not in (None, "off"):
        draft.lost(location.place, f"auth_request of {name}: see auth: forward; a key, until then")
        return {}
    guarded = any(each.name == "if" for each in (*(location.block or ()), *(server.block or ())))
    if auth == "none" and not guarded:
        draft.yours(location.place, f"{name} has a login of its own, so auth: none")
        return {"auth": "none"}
    draft.yours(location.place, f"{name} wants an API key of the gateway now (auth: key)")
    return {}
