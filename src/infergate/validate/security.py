"""What a stranger finds at the running gateway, and what the audit finds in it."""

from __future__ import annotations

import socket
import ssl

from infergate.admin.gateway import Gateway
from infergate.admin.serve import with_tls
from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.engine.choose import choose_engine
from infergate.hardening.audit import audit
from infergate.hardening.live import reachable
from infergate.supervise.instance import running
from infergate.validate.client import answer, asking
from infergate.validate.result import Failed, Result, Skipped, checking

SUITE = "security"
_WRONG_KEY = "sk-this-is-no-key-of-anybody"
_TIMEOUT_S = 3.0
_OF_THE_ADMIN_API = ("/v1/status", "/v1/keys", "/v1/backends", "/status", "/admin", "/state")
_OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


def check_security(gateway: Gateway) -> list[Result]:
    """A result for each thing that was tried, and for each check of the audit."""
    found: list[Result] = []
    config = gateway.loaded.config
    for name, key in (("without_key", None), ("wrong_key", _WRONG_KEY)):
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
            with checking(SUITE, f"{name}.{method}", found) as verdict:
                verdict.said = _refused(config, key, method, path)
    with checking(SUITE, "admin.listener", found) as verdict:
        verdict.said = _closed_here(config)
    with checking(SUITE, "admin.api", found) as verdict:
        verdict.said = _closed_elsewhere(gateway.declared)
    for name, service in config.services.items():
        with checking(SUITE, f"service.{name}", found) as verdict:
            if service.auth == "none":
                raise Skipped("has its own login (auth: none)")
            with asking(config, None, service.host) as client:
                code = answer(client, "GET", service.path or "/").status_code
            if code not in (302, 303, 307, 401, 403):
                raise Failed(f"a stranger's GET is answered {code}")
            verdict.said = f"a stranger gets {code}"
    with checking(SUITE, "tls.versions", found) as verdict:
        verdict.said = _old_tls_refused(config)
    engine = choose_engine(config.engine, gateway.home.root).engine
    runs = running(gateway.home).nginx is not None
    for each in audit(gateway.loaded, gateway.home, engine, runs=runs, asked=True):
        with checking(SUITE, f"audit.{each.name}", found) as verdict:
            if each.outcome == "unknown":
                raise Skipped(each.what)
            if each.outcome == "bad" and each.severity == "high":
                raise Failed(f"{each.what}. {each.mend}".rstrip(". ") + ".")
            verdict.said = f"{each.severity}: {each.what}" if each.outcome == "bad" else each.what
    return found


def _refused(config: Config, key: str | None, method: str, path: str) -> str:
    if not config.auth.required:
        raise Skipped("keys are not required")
    with asking(config, key) as client:
        got = answer(client, method, path, **({"json": {"model": "x"}} if method == "POST" else {}))
    if got.status_code not in (401, 403):
        raise Failed(f"{method} {path} is answered {got.status_code}, 401 is right")
    return f"{method} {path}: {got.status_code}"


def _closed_here(config: Config) -> str:
    """Nothing of the admin API and of the internal sockets is at the listener of clients."""
    with asking(config) as client:
        for path in _OF_THE_ADMIN_API:
            code = answer(client, "GET", path).status_code
            if code < 400:
                raise Failed(f"GET {path} is answered {code} at the listener of clients")
    return "is not at the listener of clients"


def _closed_elsewhere(declared: LoadedConfig) -> str:
    config = declared.config
    if config.admin.listen is None:
        return "only at its unix socket"
    host, port = reachable(config.admin.listen)
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as plain:
            plain.settimeout(_TIMEOUT_S)
            connection = _any_certificate().wrap_socket(plain) if with_tls(declared) else plain
            connection.sendall(
                b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            said = connection.recv(64)
    except OSError as problem:
        raise Failed(f"{config.admin.listen} does not answer: {problem}") from None
    code = said.split(b" ")[1:2]
    if not code or not code[0].startswith(b"4"):
        raise Failed(f"without a token it says {said!r}")
    return f"without a token: {code[0].decode()}"


def _old_tls_refused(config: Config) -> str:
    if config.listen.https is None:
        raise Skipped("there is no https listener")
    place = reachable(config.listen.https)
    tried = []
    for version in _OLD:
        context = _any_certificate()
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
        except (ssl.SSLError, ValueError):
            continue  # this machine's OpenSSL cannot even ask for it
        tried.append(version.name)
        try:
            with socket.create_connection(place, _TIMEOUT_S) as plain, context.wrap_socket(plain):
                raise Failed(f"{version.name} is accepted")
        except OSError:
            continue
    if not tried:
        raise Skipped("OpenSSL here knows no old TLS to try")
    return f"refuses {' and '.join(tried)}"


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
