"""What rendering needs to know of this machine: limits, users, certificates."""

from __future__ import annotations

import grp
import os
import pwd
import re
import resource
import ssl
from collections.abc import Mapping
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.errors import EngineError, UserError
from infergate.nginx import tls
from infergate.nginx.engine import Engine
from infergate.nginx.passwords import passwords_of
from infergate.nginx.render import Surroundings
from infergate.nginx.waf import firewall_for
from infergate.paths import Home

_OPEN_FILES = 65_536
_WORKER_USERS = ("infergate", "www-data", "nginx", "nobody")
"""Who nginx's workers run as under root: the first of these that exists."""


def worker_user(config: Config, home: Home) -> str | None:
    """Who nginx's workers run as: nobody else than us, unless we are root.

    Raises EngineError if the configuration names a user that does not exist. Under root, workers
    stay root only where no other user could enter the state folder.
    """
    if os.geteuid() != 0:
        return None
    if config.user is not None:
        try:
            pwd.getpwnam(config.user)
        except KeyError:
            raise EngineError(
                f"there is no user {config.user!r} on this machine",
                where="user",
                hint=f"Create it: useradd --system {config.user}",
            ) from None
        return config.user
    if not all(parent.stat().st_mode & 0o001 for parent in home.root.parents if parent.exists()):
        return "root"
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _WORKER_USERS if name in names), "root")


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def prepare_home(home: Home, user: str | None) -> None:
    """Make the state folder and what is in it, for our eyes only.

    Under root, workers are another user: they may enter the folder, read the snapshots and write
    their temporary files, and no more.
    """
    if odd := re.search(r"""[\x00-\x1f\x7f"$\\]""", str(home.root)):
        raise EngineError(
            f"the state folder's path has the character {odd[0]!r}, which nginx cannot be told",
            where=str(home.root),
            hint="Set INFERGATE_HOME to another folder.",
        )
    temporary, queue = home.run / "temp", home.queue_socket.parent
    of_workers = (temporary, queue, home.waf_reports, home.cache)
    account = pwd.getpwnam(user) if user is not None and user != "root" else None
    # What workers may enter or read has its mode at once: a reload must not lock them out.
    shared = {}
    if account:
        shared = {home.root: 0o711, home.run: 0o711, home.state: 0o750, home.logs: 0o710}
        shared |= {home.public: 0o711, home.challenges: 0o711}
    for folder in (
        home.root,
        home.revisions,
        home.state,
        home.run,
        home.socket.parent,
        home.logs,
        home.tls,
        home.acme,
        home.public,
        home.challenges,
        *of_workers,
        home.bans,
    ):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder not in of_workers and folder.stat().st_uid != os.geteuid():
            raise EngineError("belongs to another user", where=str(folder))
        folder.chmod(shared.get(folder, 0o700))
    if account:
        for folder in of_workers:
            os.chown(folder, account.pw_uid, account.pw_gid)
        os.chown(home.state, 0, account.pw_gid)
        os.chown(home.logs, 0, account.pw_gid)  # each worker opens them itself when they rotate


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
    """
    user = worker_user(loaded.config, home)
    tls.refuse_what_leaks(loaded.config, engine)
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
        ca_file=_ca_file(),
        firewall=firewall,
        folder=loaded.path.parent,
        error_page=_error_page(loaded),
        passwords=passwords_of(loaded),
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
