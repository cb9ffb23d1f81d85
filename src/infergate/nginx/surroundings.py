"""What rendering needs to know of this machine: limits, users, certificates."""

from __future__ import annotations

import grp
import pwd
import resource
import ssl
from collections.abc import Mapping
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.engine.choose import Engine
from infergate.errors import UserError
from infergate.nginx import tls
from infergate.nginx.passwords import passwords_of
from infergate.nginx.render import Surroundings
from infergate.nginx.waf import firewall_for
from infergate.nginx.worker_user import account, refuse_changeable, worker_user
from infergate.nginx.zones import needs
from infergate.paths import Home

_OPEN_FILES = 65_536


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def open_files() -> int:
    """File descriptors a worker may have: what we are allowed, up to 65,536."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)


def survey(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine,
    revision: int,
    addresses: Mapping[str, tuple[str, ...]],
) -> Surroundings:
    """Everything that the rendered files depend on besides the YAML.

    Makes a self-signed certificate where the configuration asks for one and there is none yet.
    Raises EngineError where nginx's workers could make root do something else than it says.
    """
    user = worker_user(loaded.config, home)
    if user is not None:
        for path in (loaded.path, engine.binary):
            refuse_changeable(account(user), path)
    tls.refuse_what_leaks(loaded.config, engine)
    tls.refuse_grpc_without_http2(loaded.config, engine)
    firewall = firewall_for(loaded.config, engine, loaded.path.name)
    return Surroundings(
        source=loaded.path.name,
        home=home,
        revision=revision,
        load_modules=(*engine.load_modules, *(firewall.modules if firewall else ())),
        temp_path_modules=("fastcgi", "uwsgi", "scgi"),
        user=f"{user} {_group_of(user)}" if user else None,
        open_files=open_files(),
        addresses=addresses,
        certificates=tls.stapled(tls.served(loaded, home), addresses),
        curves=tls.curves(engine),
        http2=tls.http2(loaded.config, engine),
        ca_file=_ca_file(),
        firewall=firewall,
        folder=loaded.path.parent,
        error_page=_error_page(loaded),
        passwords=passwords_of(loaded),
        needs=needs(loaded, home),
        counts_connections="stub_status" in engine.modules,
    )


def _error_page(loaded: LoadedConfig) -> str:
    """Raises UserError if the operator's own page cannot be read."""
    if loaded.config.errors.page is None:
        return ""
    path = loaded.resolve(loaded.config.errors.page)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"cannot be read: {problem}", where=str(path)) from None


def _ca_file() -> str:
    found = ssl.get_default_verify_paths().cafile
    for path in (found, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if path and Path(path).exists():
            return path
    return "/etc/ssl/certs/ca-certificates.crt"
