"""The bundle: its members, redacted, and the file that they are written to."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import tarfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infergate.admin.gateway import Gateway
from infergate.admin.metrics import as_text, metrics
from infergate.admin.status import status
from infergate.config.load import LoadedConfig, load_config
from infergate.config.problems import ConfigError
from infergate.control.report import read_inventories
from infergate.doctor.examine import examine
from infergate.engine.find import find_engines
from infergate.errors import InfergateError, UserError, of_machine
from infergate.live.revisions import load_applied
from infergate.nginx.lint import is_by_hand
from infergate.nginx.rendered import SECRET_FILES
from infergate.paths import Home
from infergate.support.known import known_secrets
from infergate.support.log_lines import strangers_lines
from infergate.support.nginx_text import without_secrets
from infergate.support.redact import Redactor

_LARGEST_FILE = 4 << 20
_QUOTED = re.compile(r"'[^']*'")
_OF_CLIENT = re.compile(r'\b(request|referrer|host|subrequest): "[^"]*"|\bclient: [^,\s]+')
_PATH_ASKED = re.compile(r'(upstream: "[a-z]+://[^/"]+)[^"]*')
_HEADER = re.compile(
    r"(?im)^(\s*(?:\w+_set_header|add_header|set|map|fastcgi_param)\s+\S*"
    r"(?:key|token|secret|passw(?:or)?d|cookie|auth\w*)\S*\s+)([^$;\s][^;]*);"
)

ABOUT = """\
What Infergate knows of a gateway, for somebody who helps.

Left out: keys, tokens, passwords, private keys and their hashes; the database; secrets.conf; what
clients wrote (prompts are in no log), their addresses, paths and names; answers that are kept.
Whatever looked like a secret reads [redacted]. Read it all the same before you give it away: names
of hosts, models, backends, teams and files are in it.

config.yaml    the active settings, without comments
status.json    `infergate status --json`      doctor.json   `infergate doctor --json --offline`
metrics.txt    `infergate metrics show`       versions.json what it runs on
nginx/         the files that were rendered   logs/         the last lines
NAME.failed    why NAME could not be had
"""


@dataclass(frozen=True)
class Bundle:
    """What was written. members: name → bytes."""

    file: Path
    members: dict[str, int]


def bundle(path: Path, home: Home, file: Path, *, lines: int) -> Bundle:
    """Write the bundle of a gateway, running or not. path: its configuration; lines: of each log.

    Raises UserError if the file is there or cannot be written, InfergateError if a member would
    have had a secret of the gateway.
    """
    text, declared, problems = _read(path)
    applied = _or_none(lambda: load_applied(home, path))
    found = [each for each in (declared, applied) if each is not None]
    known = known_secrets(text, found, home, broken=declared is None)
    redactor = Redactor(known, _own_addresses(found))
    members: dict[str, bytes] = {"README.txt": ABOUT.encode()}
    for name, made in _members(declared or applied, problems, home, redactor, path, lines):
        if redactor.leaks(made):
            raise InfergateError(
                "a secret would have been in the bundle, so there is none",
                where=name,
                hint="Please tell us; `--lines 0` leaves the logs out.",
            )
        members[name] = made.encode()
    _write(file, members)
    return Bundle(file, {name: len(content) for name, content in members.items()})


def _members(
    loaded: LoadedConfig | None,
    problems: list[str],
    home: Home,
    redactor: Redactor,
    path: Path,
    lines: int,
) -> Iterator[tuple[str, str]]:
    def as_json(value: Any) -> str:
        return json.dumps(redactor.data(value), indent=1, default=str) + "\n"

    parts: dict[str, Callable[[], str]] = {"versions.json": lambda: as_json(_versions(home))}
    if problems:
        parts["config.problems.txt"] = lambda: redactor.log("\n".join(problems) + "\n")
    if loaded is not None:
        gateway = Gateway(loaded, home)
        parts["config.yaml"] = lambda: _yaml(redactor.data(_settings(loaded)))
        parts["status.json"] = lambda: as_json(status(gateway).model_dump())
        if home.store.exists() or loaded.config.store.url is not None:
            parts["metrics.txt"] = lambda: redactor.text(as_text(metrics(gateway)))
    parts["doctor.json"] = lambda: as_json(list(_found_by_doctor(path, home)))
    for file in sorted(home.current.rglob("*")) if home.current.exists() else []:
        if _is_of_nginx(file):
            name = f"nginx/{file.relative_to(home.current)}"
            parts[name] = partial(_of_nginx, file, home.current, redactor)
    if lines:
        models = _models(loaded, home)
        parts["logs/access.jsonl"] = lambda: redactor.log(
            "".join(f"{line}\n" for line in strangers_lines(_last(home.access_log, lines), models))
        )
        for log in (home.logs / "gateway.log", home.error_log):
            parts[f"logs/{log.name}"] = partial(_of_log, log, lines, redactor)
    for name, make in parts.items():
        try:
            yield name, make()
        except FileNotFoundError:
            continue
        except InfergateError as problem:
            yield f"{name}.failed", redactor.log(f"{problem}\n")
        except OSError as refused:
            yield f"{name}.failed", redactor.log(f"{of_machine(refused)}\n")


def _found_by_doctor(path: Path, home: Home) -> Iterator[dict[str, Any]]:
    """Of a broken file without the values that it quotes."""
    for each in examine(path, home, offline=True):
        what = _QUOTED.sub("'…'", each.what) if each.name == "config" else each.what
        yield {**asdict(each), "what": what}


def _read(path: Path) -> tuple[str, LoadedConfig | None, list[str]]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    try:
        return text, load_config(path), []
    except ConfigError as error:  # a message may quote a value
        return text, None, [_QUOTED.sub("'…'", str(each)) for each in error.problems]
    except InfergateError as problem:
        return text, None, [str(problem)]


def _or_none(load: Callable[[], LoadedConfig]) -> LoadedConfig | None:
    try:
        return load()
    except InfergateError:
        return None


def _own_addresses(loaded: list[LoadedConfig]) -> Iterator[str]:
    for each in loaded:
        urls = [one.url for one in each.config.backends.values()]
        urls += [one.url for one in each.config.services.values()]
        yield from (urlsplit(url).hostname or "" for url in urls)


def _settings(loaded: LoadedConfig) -> Any:
    """Those that the file has: a secret's type says no more than that there is one."""
    return loaded.config.model_dump(mode="json", exclude_unset=True)


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML

    out = io.StringIO()
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    writer.width = 100
    writer.dump(value, out)
    return out.getvalue()


def _versions(home: Home) -> dict[str, Any]:
    import ssl

    packages = {}
    for each in distribution("infergate").requires or ():
        name = re.split(r"[\s\[<>=!;~]", each, maxsplit=1)[0]
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "infergate": version("infergate"),
        "python": sys.version,
        "openssl": ssl.OPENSSL_VERSION,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "at": time.time(),
        "engines": [str(each) for each in find_engines(home.root)],
        "packages": packages,
    }


def _models(loaded: LoadedConfig | None, home: Home) -> set[str]:
    known = {model.id for each in read_inventories(home.health).values() for model in each.models}
    for name, model in loaded.config.models.items() if loaded else ():
        known |= {name, *model.aliases}
    return known


def _is_of_nginx(file: Path) -> bool:
    """Not what holds secrets, nor njs, which is the same everywhere, nor links to elsewhere."""
    return (
        file.suffix == ".conf"
        and file.name not in SECRET_FILES
        and not file.is_symlink()
        and file.is_file()
        and file.stat().st_size <= _LARGEST_FILE
    )


def _of_nginx(file: Path, folder: Path, redactor: Redactor) -> str:
    text = file.read_text(errors="replace")
    if is_by_hand(file, folder):
        text = without_secrets(text)
    return redactor.text(_HEADER.sub(r"\1[redacted];", text))


def _of_log(log: Path, lines: int, redactor: Redactor) -> str:
    return redactor.log("".join(f"{_without_client(line)}\n" for line in _last(log, lines)))


def _last(log: Path, lines: int) -> list[str]:
    with log.open(errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=lines)]


def _without_client(line: str) -> str:
    """A line of nginx's error log without what a client said."""
    hidden = _OF_CLIENT.sub(lambda found: f"{found[1] or 'client'}: [hidden]", line)
    return _PATH_ASKED.sub(r"\1", hidden)


def _write(file: Path, members: dict[str, bytes]) -> None:
    """Nobody else may read it, from its first byte on."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError("is there already", where=str(file), hint="Name another file.") from None
    except OSError as problem:
        raise UserError(f"cannot be written: {problem.strerror}", where=str(file)) from None
    try:
        with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(f"{file.name.partition('.')[0]}/{name}")
                entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(content))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
