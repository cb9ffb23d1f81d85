"""A real start of a configuration, in a folder of its own and beside the gateway that runs.

What nginx listens on becomes unix sockets in that folder. So nobody else can reach it and no port
is needed, while its workers, its njs programs, its certificates and its shared memory are real. It
is asked as a client would ask. No request leaves it: the one model asked for exists nowhere.
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from cryptography import x509

from infergate.certificates.sites import Site, sites
from infergate.config.access import Access
from infergate.config.load import LoadedConfig
from infergate.control.report import read_inventories
from infergate.engine.choose import Engine
from infergate.errors import ApplyError, StateError
from infergate.live.apply import rendered
from infergate.live.shared_memory import UnixConnection, read
from infergate.nginx.addresses import Addresses
from infergate.nginx.folders import prepare_home
from infergate.nginx.passwords import passwords_of, publish_passwords
from infergate.nginx.rendered import Rendered, write
from infergate.nginx.worker_user import account, worker_user
from infergate.paths import Home
from infergate.state.policy import Policy
from infergate.state.routes import compile_routes
from infergate.store.secrets import key_hash
from infergate.worker_files import scratch_folder

_START_TIMEOUT_S = 30.0
"""Generous: one that fails ends at once, and only a machine that is very busy takes so long."""

_NO_MODEL = "infergate-trial/no-such-model"

_LISTEN = re.compile(r"^(\s*listen\s+)(?!\"?unix:)(\S+?)((?:\s[^;]*)?);", re.MULTILINE)
_ONLY_OF_TCP = re.compile(r"\s(?:quic|reuseport|ipv6only=\S+|so_keepalive=\S+|fastopen=\S+)")


@dataclass(frozen=True)
class Listener:
    """One address of the configuration, and the socket that stands in for it. host: a name that
    its server answers to."""

    address: str
    socket: Path
    tls: bool
    host: str


def trial(
    loaded: LoadedConfig, home: Home, engine: Engine, addresses: Addresses
) -> tuple[str, ...]:
    """Start the configuration in a scratch folder and ask it; returns what is worth a warning.

    addresses: of the names in it (nginx/addresses.py).
    Raises ApplyError with what it answered, or nginx's own words if it does not start.
    """
    with scratch_folder("ig-") as folder:
        scratch = Home(folder / "home")
        # Without what depends on the caller's address, which a unix socket does not have, and
        # without the default model.
        config = loaded.config
        bare = config.model_copy(
            update={
                "access": Access(),
                "limits": config.limits.model_copy(update={"per_ip": None}),
                "listen": config.listen.model_copy(update={"proxy_protocol": False}),
                "default_model": None,
                "workers": 1,
            }
        )
        tried = replace(loaded, config=bare)
        _let_in(loaded, home, folder)
        user = worker_user(bare, scratch)
        prepare_home(scratch, user)
        # Nor with files written by hand: nobody knows what to ask of them. nginx tested them.
        files = rendered(tried, scratch, engine, 1, addresses, written=())
        files, listeners = on_sockets(files, scratch)
        write(files, scratch.revisions / "1")
        publish_passwords(scratch, passwords_of(tried), user)
        needs_key, tls_sites = config.auth.required, sites(config)
        key = secrets.token_urlsafe()
        _give_state(scratch, tried, home, key)
        with _running(engine, scratch):
            return tuple(
                warning
                for listener in listeners
                for warning in _ask(listener, key, tls_sites, needs_key=needs_key)
            )


def _let_in(loaded: LoadedConfig, home: Home, folder: Path) -> None:
    """Under root, the workers' group may enter the scratch folder, and nobody else."""
    user = worker_user(loaded.config, home)
    if user is not None:
        os.chown(folder, 0, account(user).gid)
        folder.chmod(0o710)


def on_sockets(files: Rendered, home: Home) -> tuple[Rendered, tuple[Listener, ...]]:
    """The files with each address that is listened on replaced by a unix socket."""
    listeners: dict[str, Listener] = {}

    def moved(text: str) -> str:
        names = re.search(r"^\s*server_name\s+([^;\s]+)", text, re.MULTILINE)
        host = names[1] if names and names[1] != "_" else "localhost"

        def replaced(match: re.Match[str]) -> str:
            address, options = match[2], match[3]
            if re.search(r"\squic\b", options):
                return ""  # HTTP/3 is UDP; the same server listens for TLS, too
            socket = home.run / f"l{len(listeners)}.sock"
            known = listeners.setdefault(
                address, Listener(address, socket, bool(re.search(r"\sssl\b", options)), host)
            )
            return f'{match[1]}"unix:{known.socket}"{_ONLY_OF_TCP.sub("", options)};'

        return _LISTEN.sub(replaced, text)

    texts = {
        name: moved(text) if name.endswith(".conf") else text for name, text in files.files.items()
    }
    return Rendered(texts, files.links), tuple(listeners.values())


def _give_state(scratch: Home, tried: LoadedConfig, home: Home, key: str) -> None:
    """A key that is valid here only, and the routes as they would be."""
    routes = compile_routes(tried.config, read_inventories(home.health))
    _snapshot(scratch.keys_snapshot, keys={key_hash(key): Policy("trial").compiled()})
    catalog = {**routes.catalog, "untold": "[]"}  # as if every backend had told its models
    _snapshot(scratch.routes_snapshot, routes=routes.routes, catalog=catalog)


def _snapshot(path: Path, **zones: Mapping[str, str]) -> None:
    path.write_text(json.dumps({z: {"replace": True, "set": dict(s)} for z, s in zones.items()}))


@contextmanager
def _running(engine: Engine, scratch: Home) -> Iterator[None]:
    configuration = str(scratch.revisions / "1" / "nginx.conf")
    log = scratch.logs / "error.log"
    command = engine.command("-p", str(scratch.root), "-c", configuration, "-e", str(log))
    with (scratch.run / "out").open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=scratch.root
        )
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(scratch):
            if time.monotonic() > deadline:
                raise _refused(f"nginx does not answer with it in {_START_TIMEOUT_S:.0f} s")
            if process.poll() is not None:
                said = (scratch.run / "out").read_text(errors="replace").strip()
                said = said or log.read_text(errors="replace").strip()
                raise _refused(f"nginx does not start with it:\n  {said}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        scratch.remove_sockets()


def _answers(scratch: Home) -> bool:
    with suppress(StateError):
        return read(scratch.socket).revision == 1
    return False


def _ask(
    listener: Listener, key: str, tls_sites: Sequence[Site], *, needs_key: bool
) -> Iterator[str]:
    """What a client would see at one address; yields warnings. Raises ApplyError.

    tls_sites: whose certificates are shown at the TLS listener, the API's first.
    """
    if listener.tls:
        for site in tls_sites:
            yield from _look_at_certificate(listener, site)
        if tls_sites[0].client_ca is not None:  # it takes nobody's question without a certificate
            status, body = _get(listener, "GET", "/healthz")
            _expect(listener, "/healthz without a certificate", status, body, 400)
            return
    _expect(listener, "/healthz", *_get(listener, "GET", "/healthz"), 200)
    status, body = _get(listener, "GET", "/v1/models")
    if status == 308 and not listener.tls:
        return  # it only leads to https
    if needs_key:
        _expect(listener, "/v1/models without a key", status, body, 401)
    status, body = _get(listener, "GET", "/v1/models", key=key)
    _expect(listener, "/v1/models", status, body, 200)
    question = json.dumps({"model": _NO_MODEL, "messages": []})
    status, body = _get(listener, "POST", "/v1/chat/completions", question, key=key)
    _expect(listener, "a model that nobody has", status, body, 404)


def _expect(listener: Listener, what: str, status: int, body: str, wanted: int) -> None:
    if status != wanted:
        raise _refused(
            f"asked for {what} at {listener.address} it answers {status}, "
            f"not {wanted}: {body[:200]}"
        )


def _get(
    listener: Listener, method: str, path: str, body: str | None = None, *, key: str = ""
) -> tuple[int, str]:
    headers = {"Host": listener.host}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    tls = _trusting() if listener.tls else None
    connection = UnixConnection(listener.socket, tls, listener.host)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as problem:
        raise _refused(f"{listener.address} does not answer: {problem}") from problem
    finally:
        connection.close()


def _trusting() -> ssl.SSLContext:
    """Whether the certificate is trusted is the clients' matter: it may be self-signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _look_at_certificate(listener: Listener, site: Site) -> Iterator[str]:
    host = site.hosts[0].replace("*", "any") if site.hosts else "localhost"
    connection = UnixConnection(listener.socket, _trusting(), host)
    try:
        connection.connect()
        shown = cast("ssl.SSLSocket", connection.sock).getpeercert(binary_form=True)
    except OSError as problem:
        raise _refused(f"{listener.address} has no TLS for {host}: {problem}") from problem
    finally:
        connection.close()
    if site.source != "files":
        return  # here it is one that was made for the trial
    certificate = x509.load_der_x509_certificate(shown or b"")
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left < datetime.timedelta(0):
        raise _refused(f"the certificate for {host} has expired {-left.days} days ago")
    if left.days < 14:
        yield f"the certificate for {host} ends in {left.days} days"


def _refused(what: str) -> ApplyError:
    return ApplyError(
        f"{what}\nIt was tried in a folder of its own; nothing has changed.",
        hint="`infergate diff` shows what is different from what is active.",
    )
