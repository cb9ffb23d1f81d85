"""The rules of lint.py: each a function from the tree to what breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from infergate.config.root import Config
from infergate.nginx.lint import NginxBlock, is_beyond_loopback, is_entered_from_outside

Rule = Callable[[NginxBlock, Config], Iterator[tuple[NginxBlock, str]]]

_PROGRAMS_INSIDE = frozenset({"push.js", "shadow.js", "wait.js", "hedge.js", "late.js", "sweep.js"})
"""What the control plane and our own workers call. They believe whoever reaches them."""

_FROM_CLIENT = re.compile(r"\$(?:http_|arg_|cookie_|args\b|host\b|request_uri\b|query_string\b)")

_ADMITTED = ["$ig_admitted", "!="]
_SCRAPES, _METRICS = ["$ig_scrapes", "=", "0"], "/metrics.sock:/metrics"
"""/metrics asks for an address of metrics.networks instead, and leads to nothing else."""

_OLD_TLS = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})


def _relays(tree: NginxBlock) -> Iterator[NginxBlock]:
    yield from tree.all("proxy_pass")
    yield from tree.all("grpc_pass")


def _module(relay: NginxBlock) -> str:
    """proxy or grpc: how the directives about a relay begin."""
    return relay.name.removesuffix("_pass")


def _relays_have_timeouts(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """A backend that says nothing must not hold a request for ever, nor for nginx's default."""
    for relay in _relays(tree):
        location = relay.outer or relay
        for timeout in ("connect_timeout", "read_timeout"):
            if not location.holds(f"{_module(relay)}_{timeout}"):
                yield relay, f"nothing says {_module(relay)}_{timeout} for this {relay.name}"


def _nobody_gets_in_without_a_key(
    tree: NginxBlock, config: Config
) -> Iterator[tuple[NginxBlock, str]]:
    """What others can reach asks for a key, a password or a login before it relays, unless the YAML
    says `auth: none`; /metrics asks where somebody comes from."""
    open_to_all = _upstreams(config, "none") | _logins(config)
    for relay in _relays(tree):
        server, location = relay.around("server"), relay.outer or relay
        if server is None or not is_beyond_loopback(server):
            continue
        if not is_entered_from_outside(location) or _upstream(relay) in open_to_all:
            continue
        asked = [check.arguments for check in location.own("if")]
        checked = any(each[:2] == _ADMITTED for each in asked)
        if relay.arguments[0].endswith(_METRICS):
            checked = _SCRAPES in asked
        if not (checked or location.own("auth_basic") or location.own("auth_request")):
            yield relay, "this relays for callers whose key nobody has checked"


def _internal_servers_stay_inside(
    tree: NginxBlock, _config: Config
) -> Iterator[tuple[NginxBlock, str]]:
    """State, queue and hedging are on unix sockets, which only our own user can enter."""
    for program in tree.all("js_import"):
        server = program.around("server")
        if program.arguments[-1] not in _PROGRAMS_INSIDE or server is None:
            continue
        if any(not each.arguments[0].startswith("unix:") for each in server.own("listen")):
            yield program, f"{program.arguments[-1]} can be reached over the network"


def _chosen_backends_are_chosen_by_us(
    tree: NginxBlock, _config: Config
) -> Iterator[tuple[NginxBlock, str]]:
    """Nothing a client sends decides which host a request goes to."""
    for relay in _relays(tree):
        location, server = relay.outer or relay, relay.around("server")
        host = re.sub(r"^(?:http|grpc)s?://", "", relay.arguments[0]).partition("/")[0]
        if _FROM_CLIENT.search(host.partition("$uri")[0]):
            yield relay, f"the client decides where this goes: {relay.arguments[0]}"
        variable = host.startswith("$")
        outside = server is not None and any(
            not each.arguments[0].startswith("unix:") for each in server.own("listen")
        )
        if variable and outside and is_entered_from_outside(location):
            yield relay, "a location that njs sends requests to can be entered from outside"


def _if_only_returns(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """`if` with anything that is not of the rewrite module itself does what nobody expects (nginx's
    own wiki: If is Evil). js_body_filter is documented for it, and changes nothing else."""
    for check in tree.all("if"):
        for each in check.inner:
            if each.name not in ("return", "set", "js_body_filter"):
                yield each, f"{each.name} inside `if`"


def _aliases_cannot_be_left(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """`location /files { alias /srv/; }` also serves /files../secret."""
    for alias in tree.all("alias"):
        location = alias.outer or alias
        path = location.arguments[-1] if location.arguments else ""
        if alias.arguments[0].endswith("/") and not path.endswith("/"):
            yield alias, f"`..` leads out of this alias: write location {path}/"


def _files_are_not_served(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """The gateway has no files for clients but the answers to an ACME authority."""
    for listing in tree.all("autoindex"):
        if listing.arguments[0] != "off":
            yield listing, "a listing of files"
    for root in tree.all("root"):
        location = root.outer or root
        if "/.well-known/" not in " ".join(location.arguments):
            yield root, f"files below {root.arguments[0]} are served"


def _the_callers_key_goes_nowhere(
    tree: NginxBlock, config: Config
) -> Iterator[tuple[NginxBlock, str]]:
    """Each relay says itself what goes on as Authorization."""
    own_logins = _upstreams(config, "none", "forward") | _logins(config)
    for relay in _relays(tree):
        location = relay.outer or relay
        if _upstream(relay) in own_logins:
            continue
        if any(each.arguments[0] == "off" for each in location.holds("proxy_pass_request_headers")):
            continue
        named = {
            each.arguments[0].lower() for each in location.holds(f"{_module(relay)}_set_header")
        }
        if "authorization" not in named:
            yield relay, "the caller's key would go on to this upstream"


def _certificates_are_checked_or_not_on_purpose(
    tree: NginxBlock, config: Config
) -> Iterator[tuple[NginxBlock, str]]:
    """Of an https upstream, each relay says whether its certificate counts; `off` only where the
    YAML has `verify_tls: false`."""
    may_be_off = any(not each.verify_tls for each in config.backends.values()) or any(
        not (each.verify_tls and (each.forward is None or each.forward.verify_tls))
        for each in config.services.values()
    )
    for relay in _relays(tree):
        if not relay.arguments[0].startswith(("https://", "grpcs://")):
            continue
        verify = f"{_module(relay)}_ssl_verify"
        said = [each.arguments[0] for each in (relay.outer or relay).holds(verify)]
        if not said:
            yield relay, f"nothing says {verify} for this upstream"
        elif said == ["off"] and not may_be_off:
            yield relay, "this upstream's certificate is not checked"


def _tls_is_not_old(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """RFC 8996: TLS 1.0 and 1.1 are no longer used."""
    for name in ("ssl_protocols", "proxy_ssl_protocols", "grpc_ssl_protocols"):
        for protocols in tree.all(name):
            for old in sorted(_OLD_TLS & set(protocols.arguments)):
                yield protocols, f"{old} is broken"


def _streams_end_some_day(tree: NginxBlock, _config: Config) -> Iterator[tuple[NginxBlock, str]]:
    """Without worker_shutdown_timeout an old worker stays as long as its last client likes."""
    if not tree.own("worker_shutdown_timeout"):
        yield tree, "there is no worker_shutdown_timeout"


def _upstreams(config: Config, *auth: str) -> set[str]:
    """Of the services with one of these."""
    return {f"_service_{name}" for name, each in config.services.items() if each.auth in auth}


def _logins(config: Config) -> set[str]:
    """Of the login endpoints: whoever is not logged in yet must reach them."""
    return {f"_forward_{name}" for name, each in config.services.items() if each.forward}


def _upstream(relay: NginxBlock) -> str:
    return re.sub(r"^(?:http|grpc)s?://", "", relay.arguments[0]).partition("/")[0]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "timeouts": _relays_have_timeouts,
        "key-checked": _nobody_gets_in_without_a_key,
        "internal-servers": _internal_servers_stay_inside,
        "chosen-by-us": _chosen_backends_are_chosen_by_us,
        "if-returns": _if_only_returns,
        "alias": _aliases_cannot_be_left,
        "no-files": _files_are_not_served,
        "callers-key": _the_callers_key_goes_nowhere,
        "upstream-tls": _certificates_are_checked_or_not_on_purpose,
        "tls-version": _tls_is_not_old,
        "shutdown-timeout": _streams_end_some_day,
    }
)
"""By the name that a finding shows."""
