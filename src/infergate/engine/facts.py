"""What is known about one nginx, and whether Infergate can run on it. No I/O here.

The facts come from the engine itself: `nginx -V` is read here, and `engine_ask` runs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Origin = Literal["system", "debian", "embedded", "custom"]
Version = tuple[int, ...]

NGINX_AT_LEAST: Version = (1, 26)
"""The oldest nginx the templates are written for: Debian 13's, stable branch of April 2024."""

NJS_AT_LEAST: Version = (0, 8, 9)
"""Debian 13's njs. js_shared_dict_zone came with 0.8.0 and js_periodic with 0.8.1."""


@dataclass(frozen=True)
class Engine:
    """One nginx of this machine, usable or not.

    origin: where it comes from; "custom" is a path the user gave.
    argv: what starts it. One element, or Debian's loader with its library path and the nginx.
    nginx_version, njs_version: e.g. (1, 26, 3) and (0, 8, 9). nginx_version is empty and
        njs_version None when the engine could not be asked, or was not worth asking.
    modules: what it can do, built in or loadable: "http_ssl", "http_v2", "http_v3", "stub_status",
        "js", "brotli", "modsecurity", "headers_more", "geoip2", "stream" and so on.
    load_modules: absolute .so files that every configuration must `load_module`, i.e. njs's.
    module_files: for each module that is loadable, the .so files to load before using it.
    openssl_version: of the library it runs with; empty where it is another one.
    problems: why Infergate cannot run on it, in plain words; empty when it can.
    """

    origin: Origin
    argv: tuple[str, ...]
    nginx_version: Version = ()
    njs_version: Version | None = None
    modules: frozenset[str] = frozenset()
    load_modules: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    module_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    openssl_version: Version = ()

    @property
    def usable(self) -> bool:
        return not self.problems

    @property
    def binary(self) -> Path:
        """The nginx file itself, also where a loader starts it."""
        return Path(self.argv[-1])

    def command(self, *arguments: str) -> list[str]:
        """The full command line, e.g. `command("-t", "-p", prefix, "-c", path)`."""
        return [*self.argv, *arguments]

    def __str__(self) -> str:
        njs = f" with njs {dotted(self.njs_version)}" if self.njs_version else ""
        known = f"nginx {dotted(self.nginx_version)}{njs}" if self.nginx_version else "nginx"
        return f"{self.origin}: {known} at {self.binary}"


@dataclass(frozen=True)
class Build:
    """What `nginx -V` says: its version, the built-in modules, where the loadable ones are, and
    its OpenSSL."""

    version: Version
    modules: frozenset[str]
    modules_path: Path | None
    openssl_version: Version = ()


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def parse_version(text: str) -> Version:
    """`1.26.3` → (1, 26, 3). Letters after the digits are dropped; () when there are none."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def parse_build(text: str) -> Build:
    """Reads the output of `nginx -V`. Unknown forks (openresty, angie) keep their own version."""
    version = re.search(r"^nginx version: [^/\s]+/(\S+)", text, re.MULTILINE)
    openssl = re.search(r"\(running with OpenSSL (\d\S+)", text) or re.search(
        r"^built with OpenSSL (\S+)", text, re.MULTILINE
    )
    configured = re.search(r"^configure arguments: (.*)", text, re.MULTILINE)
    options = _split(configured[1]) if configured else []
    prefix, modules_path, modules = "/usr/local/nginx", None, set[str]()
    for option in options:
        name, _, value = option.partition("=")
        if name == "--prefix":
            prefix = value
        elif name == "--modules-path":
            modules_path = value
        elif name == "--add-module":
            modules.update(module_of(part) for part in Path(value).parts[-2:])
        elif option.startswith(("--with-http_", "--with-stream", "--with-mail")) and not value:
            modules.add(module_of(option.removeprefix("--with-")))
    # nginx's own default, auto/options: NGX_MODULES_PATH = PREFIX/modules.
    folder = Path(prefix) / (modules_path or "modules")
    return Build(
        version=parse_version(version[1]) if version else (),
        modules=frozenset(modules - {""}),
        modules_path=folder if folder.is_absolute() else None,
        openssl_version=parse_version(openssl[1]) if openssl else (),
    )


def _split(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError:  # a quote left open in somebody's own build
        return options.split()


_SHORT_NAMES = ("stub_status", "brotli", "modsecurity", "headers_more", "geoip2")


def module_of(name: str) -> str:
    """One name for a module however it is spelt: as an option, a source folder or a .so file.

    `http_ssl_module` → http_ssl, `ngx_brotli` and `ngx_http_brotli_filter_module.so` → brotli,
    `njs-0.9.9` and `ngx_http_js_module.so` → js.
    """
    plain = name.lower().replace("-", "_").removesuffix(".so")
    if re.match(r"njs(_[\d.]+)?$|ngx_http_js_module$", plain):
        return "js"
    for short in _SHORT_NAMES:
        if short in plain:
            return short if "stream" not in plain else f"stream_{short}"
    plain = re.sub(r"_[\d.]+$", "", plain)  # the version of a source folder
    if plain in {"nginx", "ngx"}:  # njs's module is the folder nginx/ of its sources
        return ""
    return plain.removeprefix("ngx_").removeprefix("nginx_").removesuffix("_module")


def loadable_modules(files: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """The .so files by module; of two folders with the same file the first one counts."""
    first: dict[str, Path] = {}
    for file in files:
        if file.suffix == ".so":
            first.setdefault(file.name, file)
    by_module: dict[str, tuple[str, ...]] = {}
    for name in sorted(first):
        module = module_of(name)
        by_module[module] = (*by_module.get(module, ()), str(first[name]))
    return by_module


def version_problems(nginx: Version, njs: Version | None) -> list[str]:
    """What is too old. njs is None where it was not asked, which is no problem by itself."""
    problems = []
    if not nginx:
        problems.append("it does not answer `nginx -V` with a version")
    elif nginx < NGINX_AT_LEAST:
        problems.append(f"nginx {dotted(nginx)} is older than {dotted(NGINX_AT_LEAST)}")
    if njs is not None and njs < NJS_AT_LEAST:
        problems.append(f"njs {dotted(njs)} is older than {dotted(NJS_AT_LEAST)}")
    return problems
