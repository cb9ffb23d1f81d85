"""Active checks of upstreams: of Tengine's and other modules, and of NGINX Plus."""

from __future__ import annotations

import re

from infergate.imports.draft import Draft, seconds_text
from infergate.imports.nginx_parts import ImportedUpstream
from infergate.imports.nginx_read import Directive
from infergate.imports.values import seconds, whole

CHECK = ("check", "check_http_send", "check_http_expect_alive", "check_keepalive_requests")
# https://github.com/yaoweibin/nginx_upstream_check_module
_PATH = re.compile(r"^[A-Z]+ (/[A-Za-z0-9_.~/-]*)")


def read_check(each: Directive, upstream: ImportedUpstream, draft: Draft) -> None:
    """One of the directives of nginx_upstream_check_module, inside an upstream."""
    if each.name == "check":
        options = dict(arg.partition("=")[::2] for arg in each.args)
        upstream.health = "tcp" if options.get("type", "tcp") == "tcp" else "auto"
        health = draft.section("health")
        for theirs, ours in (("interval", "interval"), ("timeout", "timeout")):
            if (number := whole(options.get(theirs))) is not None:
                health.setdefault(ours, seconds_text(number / 1000))
        for name in ("rise", "fall"):
            if (number := whole(options.get(name))) is not None:
                health.setdefault(name, min(number, 100))
        draft.wrong(
            each.place,
            "check needs ngx_http_upstream_check_module, which nginx and Debian do not have: nginx "
            "refuses the file",
        )
    elif each.name == "check_http_send":
        found = _PATH.match(each.first)
        if found:
            upstream.health = found[1]
    elif each.name == "check_http_expect_alive" and each.args != ("http_2xx",):
        draft.yours(each.place, f"{' '.join(each.args)}: a probe is good with 2xx here")


def read_plus(each: Directive, upstream: ImportedUpstream, draft: Draft) -> None:
    """health_check of NGINX Plus, inside a location."""
    options = dict(arg.partition("=")[::2] for arg in each.args)
    health = draft.section("health")
    if (interval := seconds(options.get("interval"))) is not None:
        health.setdefault("interval", seconds_text(interval))
    for theirs, ours in (("passes", "rise"), ("fails", "fall")):
        if (number := whole(options.get(theirs))) is not None:
            health.setdefault(ours, min(number, 100))
    upstream.health = options.get("uri", "auto")
    draft.wrong(each.place, "health_check is of NGINX Plus: nginx refuses the file")
