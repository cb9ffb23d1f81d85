"""What nginx files define for all servers: upstreams, maps, zones; and backends made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infergate.imports.draft import Draft
from infergate.imports.nginx_read import Directive
from infergate.imports.values import address_of, usable_url, whole

AUTHORIZATION = "$http_authorization"
_OLLAMA_PORT = 11434
_WITHOUT_EFFECT = ("max_fails", "fail_timeout", "slow_start", "resolve", "route", "service")


@dataclass
class ImportedUpstream:
    """file: relative to the YAML, where all servers are in one of their own.
    backends: their names in the draft, once they are there."""

    name: str
    servers: Sequence[Directive]
    place: str
    balance: str | None = None
    health: str | None = None
    file: str | None = None
    backends: list[str] = field(default_factory=list)
    is_service: bool = False

    @property
    def addresses(self) -> list[str]:
        return [each.first for each in self.servers]


@dataclass(frozen=True)
class Map:
    """source: what is looked up. entries: with "default"."""

    source: str
    entries: Mapping[str, str]
    place: str


@dataclass
class ImportedZone:
    """Of limit_req_zone or limit_conn_zone. rate: "10r/s"; "" of the latter."""

    key: str
    rate: str
    place: str
    used: bool = False

    @property
    def is_of_addresses(self) -> bool:
        return self.key in ("$binary_remote_addr", "$remote_addr")


@dataclass
class Parts:
    """scripts: js_set by variable. key_variables: those that say whether a key is good."""

    reads_body: bool = False
    imports_scripts: bool = False
    upstreams: dict[str, ImportedUpstream] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)
    zones: dict[str, ImportedZone] = field(default_factory=dict)
    scripts: dict[str, Directive] = field(default_factory=dict)
    key_variables: set[str] = field(default_factory=set)

    def backends_of(
        self, upstream: ImportedUpstream, draft: Draft, scheme: str = "http"
    ) -> list[str]:
        """Their names; they are added at the first call."""
        if upstream.backends:
            return upstream.backends
        if upstream.file is not None:
            settings = {"discover": {"file": upstream.file}}
            upstream.backends = [draft.backend(upstream.name, settings)]
            return upstream.backends
        if scheme == "https":
            draft.yours(upstream.place, f"certificates of {upstream.name} are checked from now on")
        for number, each in enumerate(upstream.servers, start=1):
            backend = _backend(each, upstream, scheme, draft)
            if backend is None:
                continue
            many = f"{upstream.name}-{number}" if len(upstream.servers) > 1 else upstream.name
            upstream.backends.append(draft.backend(many, backend))
        return upstream.backends


def _backend(
    each: Directive, upstream: ImportedUpstream, scheme: str, draft: Draft
) -> dict[str, Any] | None:
    url = usable_url(f"{scheme}://{each.first}")
    if url is None:
        draft.lost(each.place, f"server {each.first} is no address that can be asked over TCP")
        return None
    settings: dict[str, Any] = {"url": url, **engine_of(url, upstream.name)}
    if upstream.health not in (None, "auto"):
        settings["health"] = upstream.health
    for option in each.args[1:]:
        name, _, value = option.partition("=")
        if option in ("down", "drain"):
            draft.lost(each.place, f"server {each.first} is down there: left out")
            return None
        if option == "backup":
            settings["backup"] = True
        elif name == "weight" and whole(value):
            settings["weight"] = min(int(value), 1000)
        elif name == "max_conns":
            settings |= {"max_in_flight": int(value)} if whole(value) else {}
        elif name not in _WITHOUT_EFFECT:
            draft.lost(each.place, f"server {each.first}: {name} is no parameter")
    return settings


def engine_of(url: str, name: str) -> dict[str, str]:
    """What runs there, where address or name leave no doubt; the gateway asks it else."""
    if url.endswith(f":{_OLLAMA_PORT}") or re.search(r"(?i)ollama", name):
        return {"engine": "ollama"}
    return {"engine": "vllm"} if re.search(r"(?i)vllm", f"{name} {url}") else {}


def direct(target: str, at: Directive) -> ImportedUpstream:
    """An upstream of one server that was never written as one: proxy_pass http://10.0.0.5:8000."""
    server = Directive("server", (target,), None, at.file, at.line)
    return ImportedUpstream(address_of(f"http://{target}"), [server], at.place)
