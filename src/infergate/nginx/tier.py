"""What nginx's files say of the API tier (docs/api.md), and the listener for what that asks.

That is a server beside the API's, with the same locations: what is asked there is decided, limited
and queued by the same programs. Its own are the line of the log, which has the request's `parent`,
and that nothing of the outside is looked at again (networks, rates by address, the firewall)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from infergate.config.root import Config
from infergate.contract.tier import KEPT_PREFIX
from infergate.paths import Home

if TYPE_CHECKING:
    from infergate.nginx.render import Surroundings

SNIPPET, KEEPER = "snippets/tier.conf.j2", "snippets/keeper.conf.j2"

FORM_OVERHEAD = 64 * 1024
"""Bytes of a form around a file."""

_INNER = "snippets/inner/"
_LOGGED = re.compile(r'(access\.log"\s+)(infergate(?!_several|_refused)|handed\b)')
_HERE = {"infergate": "inner", "handed": "inner_handed"}
"""The formats of lines that nginx writes itself; the other two are njs/line.js's."""


def values(config: Config, home: Home) -> dict[str, object]:
    """What the templates say of it."""
    batches = None if config.api is None else config.api.batches
    keepers = [name for name, is_there in keepers_of(config).items() if is_there]
    return {
        "inner": False,
        "tier": config.api is not None,
        "endpoints_of_own": config.api is not None and config.api.endpoints is not None,
        "taken": tuple(dict.fromkeys(config.api.takes)) if config.api is not None else (),
        "tier_socket": str(home.tier_socket),
        "endpoints_socket": str(home.endpoints_socket),
        "inner_socket": str(home.inner_socket),
        "keepers": {name: str(home.keeper_socket(name)) for name in keepers},
        "kept_responses": f"/v1/responses/{KEPT_PREFIX}",
        "batches_body": 0 if batches is None else batches.max_file + FORM_OVERHEAD,
    }


def keepers_of(config: Config) -> dict[str, bool]:
    """Which there are of supervise/keepers.py."""
    api = config.api
    return {
        "batches": api is not None and api.batches is not None,
        "responses": api is not None and api.responses is not None,
    }


def inner_files(snippets: Iterable[str], text: Callable[..., str]) -> dict[str, str]:
    """The inner server, and each snippet as it is there. text: renders a template."""
    there = {
        "inner": True,
        "taken": (),
        "waf": False,
        "waf_api": _NoFirewall,
        "cors": {},
        "hsts": None,
        "mutual_tls": {},
        "metrics_networks": [],
        "gives_ca": False,
        "redirect_http": False,
        "http_listen": (),
        "https_listen": (),
        "claimed_headers": (),
    }
    named = {name.replace("snippets/", _INNER, 1): name for name in snippets}
    files = {name: text(template, **there) for name, template in named.items()}
    files["sites-available/inner.conf"] = text("site_api.conf", site="inner", hosts=(), **there)
    return {name: _as_inner(each) for name, each in files.items()}


class _NoFirewall:
    mode = "off"


def _as_inner(text: str) -> str:
    text = _LOGGED.sub(lambda found: found[1] + _HERE[found[2]], text)
    return text.replace(" snippets/", f" {_INNER}")


def settings(config: Config, around: Surroundings) -> str:
    """What SETTINGS_FILE says (contract/tier.py): nothing of it is secret."""
    api = config.api
    assert api is not None  # noqa: S101 - whoever calls has looked
    folder = None if api.endpoints is None else str(around.folder / api.endpoints)
    return json.dumps(
        {
            "workers": api.workers,
            **keepers_of(config),
            "endpoints": folder,
            "endpoint_memory": api.endpoint_memory,
            "max_body": config.limits.max_body,
            "user": around.user and around.user.split()[0],
            "guardrails": {n: each.model_dump() for n, each in config.guardrails.items()},
            "services": {name: each.url for name, each in config.services.items()},
        },
        indent=1,
    )
