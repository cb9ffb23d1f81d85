"""Runs an nginx for a few milliseconds to learn what it is. Nothing listens on TCP.

`nginx -t` is not enough: it compiles njs code without running it, on njs 0.8.9 and 0.9.9 alike.
So the engine is started in the foreground as one process, with a `js_periodic` function that
logs njs's own version at once, and killed when it has. That also proves that `js_periodic` and
`js_shared_dict_zone`, which Infergate lives on, are there and work.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from infergate.engine.facts import (
    Build,
    Engine,
    Origin,
    Version,
    loadable_modules,
    parse_build,
    parse_version,
    version_problems,
)
from infergate.quoting import quoted

ANSWER_WITHIN_S = 5.0
"""An answer takes about 10 ms; this is for a machine that is busy or has a cold disk."""

_ANSWER = re.compile(r"infergate-njs:([\d.]+)")

_PROBE_JS = """\
function tell() { ngx.log(ngx.ERR, `infergate-njs:${njs.version}`); }
export default { tell };
"""

# Relative paths belong to the prefix (the temporary folder), the socket's to the working
# directory, which is the same: a socket's path may have 107 characters only.
_PROBE_CONF = """\
%s
daemon            off;
master_process    off;
pid               nginx.pid;
error_log         stderr error;
events { worker_connections 16; }
http {
    access_log             off;
    client_body_temp_path  temp;
    proxy_temp_path        temp;
    fastcgi_temp_path      temp;
    uwsgi_temp_path        temp;
    scgi_temp_path         temp;

    js_path              %s;
    js_import            probe from probe.js;
    js_shared_dict_zone  zone=probe:64k;
    server {
        listen  unix:probe.sock;
        location @probe { js_periodic probe.tell interval=60s; }
    }
}
"""


class NoVersion(Exception):
    """The engine did not say its njs version; the text says why. Stays inside engine discovery."""


def examine(
    origin: Origin, argv: Sequence[str], module_folders: Sequence[Path] | None = None
) -> Engine:
    """The engine that `argv` starts, with its problems. Never raises for a bad engine.

    module_folders: where its loadable modules are; None means where the binary says, then where
        distributions put them.
    """
    argv = tuple(argv)
    try:
        build = ask_build(argv)
    except NoVersion as reason:
        return Engine(origin, argv, problems=(str(reason),))
    if module_folders is None:
        own = [build.modules_path] if build.modules_path else []
        module_folders = [*own, Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules")]
    files = loadable_modules(file for folder in module_folders for file in _listed(folder))
    load = () if "js" in build.modules else files.get("js", ())
    problems, njs = version_problems(build.version, None), None
    if not (load or "js" in build.modules):
        problems.append("it has no njs: neither built in nor as ngx_http_js_module.so")
    if not problems:
        try:
            njs = ask_njs_version(argv, load)
            problems += version_problems(build.version, njs)
        except NoVersion as reason:
            problems.append(str(reason))
    return Engine(
        origin=origin,
        argv=argv,
        nginx_version=build.version,
        njs_version=njs,
        modules=build.modules | files.keys(),
        load_modules=load,
        problems=tuple(problems),
        module_files=files,
        openssl_version=build.openssl_version,
    )


def ask_build(argv: Sequence[str]) -> Build:
    """What `nginx -V` says. Raises NoVersion when it cannot be run."""
    try:
        ran = subprocess.run(
            [*argv, "-V"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_WITHIN_S,
            env=_environment(),
            check=False,
        )
    except OSError as error:
        raise NoVersion(f"it cannot be run: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise NoVersion(f"`nginx -V` did not end within {ANSWER_WITHIN_S:g} s") from error
    build = parse_build(ran.stderr + ran.stdout)
    if not build.version and ran.returncode != 0:
        said = (ran.stderr + ran.stdout).strip().splitlines()
        raise NoVersion(f"`nginx -V` failed: {said[-1] if said else ran.returncode}")
    return build


def ask_njs_version(argv: Sequence[str], load_modules: Sequence[str]) -> Version:
    """The version that njs says it has, e.g. (0, 8, 9). Raises NoVersion with nginx's own words."""
    with tempfile.TemporaryDirectory(prefix="infergate-engine-") as folder:
        try:
            loads = "\n".join(f"load_module {quoted(file)};" for file in load_modules)
            text = _PROBE_CONF % (loads, quoted(folder))
        except ValueError as error:
            raise NoVersion(f"its path cannot be used: {error}") from error
        Path(folder, "probe.js").write_text(_PROBE_JS, encoding="utf-8")
        conf = Path(folder, "nginx.conf")
        conf.write_text(text, encoding="utf-8")
        process = subprocess.Popen(
            [*argv, "-e", "stderr", "-p", f"{folder}/", "-c", str(conf)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
        )
        try:
            return _read_version(process)
        finally:
            process.kill()
            process.communicate()


def _read_version(process: subprocess.Popen[bytes]) -> Version:
    assert process.stderr is not None  # noqa: S101 (opened as a pipe above; for the type checker)
    said, deadline = "", time.monotonic() + ANSWER_WITHIN_S
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([process.stderr], [], [], left_s)[0]:
            break
        chunk = os.read(process.stderr.fileno(), 65536)
        said += chunk.decode(errors="replace")
        if answer := _ANSWER.search(said):
            return parse_version(answer[1])
        if not chunk:  # it ended without an answer
            break
    raise NoVersion(why_it_failed(said))


def why_it_failed(said: str) -> str:
    """The sentence for an engine that ended, or was silent, instead of telling njs's version."""
    if old := re.search(r'unknown directive "(js_\w+)"', said):
        return f"its njs is too old: it does not know {old[1]}"
    emergency = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)", said)
    last = emergency[1] if emergency else next(reversed(said.strip().splitlines()), "")
    if not last:
        return f"its njs did not answer within {ANSWER_WITHIN_S:g} s"
    return f"its njs could not be tried: {last}"


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there, or not for us to read: nothing loadable
        return []


def _environment() -> dict[str, str]:
    """Ours without NGINX, by which nginx takes sockets over from a parent that never had any."""
    return {name: value for name, value in os.environ.items() if name != "NGINX"}
