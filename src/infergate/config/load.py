"""infergate.yaml from a file: typed and checked, or everything that is wrong with it."""

from __future__ import annotations

import contextlib
import copy
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from infergate.config.backends import NOWHERE, ServedBackend
from infergate.config.document import YamlDocument, document_of, places_of, read_document
from infergate.config.problems import ConfigError, Finding, Problem
from infergate.config.references import contradictions, doubts
from infergate.config.root import Config
from infergate.config.tls_references import missing_tls_files
from infergate.config.types import is_apr1
from infergate.config.wording import as_problem
from infergate.errors import UserError

_LOOKS_SECRET = re.compile(r"key|token|secret|auth|cookie|password", re.IGNORECASE)
"""In the name of a header."""

_OUTSIDE = frozenset({"listen", "tls", "auth", "admin"})
"""Sections that only make sense together: without a wrong one, the others would be blamed."""


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration and where it came from.

    text: the YAML itself, which may hold secrets. warnings: in the order of the file.
    besides: what was put over the file (state/in_force.py), for comparing; None where nothing was.
    """

    config: Config
    path: Path
    text: str = field(repr=False)  # it may hold secrets
    warnings: tuple[Problem, ...] = ()
    besides: object = None

    def resolve(self, path: str) -> Path:
        """A path of the file: relative ones start at the file's folder."""
        return self.path.parent / path

    def problems(self, findings: Iterable[Finding]) -> tuple[Problem, ...]:
        """Findings with their places in the file."""
        document = places_of(self.text, self.path.name)
        return tuple(document.problem(where, what) for where, what in findings)


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> LoadedConfig:
    """The configuration in a file.

    Raises ConfigError with every problem as file:line:column, UserError if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise UserError(f"cannot be read: {problem.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise UserError("is not a text file (UTF-8)", where=str(path)) from None
    return parse_config(text, path, environ)


def parse_config(
    text: str,
    path: Path,
    environ: Mapping[str, str] = os.environ,
    values: dict[str, Any] | None = None,
) -> LoadedConfig:
    """The configuration in a text; path is where it comes from, for messages and relative paths.

    values: of this text (document.values_of), where they are known: then its YAML is read only to
        say where a problem is. The places of warnings are not known then.
    """
    if values is not None:
        with contextlib.suppress(ConfigError):
            return _checked(document_of(values, path.name, environ), text, path)
    return _checked(read_document(text, path.name, environ), text, path)


def _checked(document: YamlDocument, text: str, path: Path) -> LoadedConfig:
    problems: list[Problem] = []
    left_out: set[str] = set()
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        problems = [as_problem(each, document) for each in error.errors(include_url=False)]
        rest = _without(document.data, error)
        if rest is None:
            raise ConfigError(problems) from None
        config = rest
        left_out = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    problems += [
        document.problem(where, what)
        for where, what in contradictions(config)
        if not (_OUTSIDE.intersection(where[:1]) and left_out & _OUTSIDE)
    ]
    folder = path.absolute().parent
    problems += [document.problem(where, what) for where, what in _missing_files(config, folder)]
    problems += [document.problem(where, what) for where, what in missing_tls_files(config, folder)]
    if problems:
        raise ConfigError(problems)
    warnings = [
        document.problem(where, what)
        for where, what in [
            *doubts(config),
            *_absent_keys_file(config, folder),
            *_quick_to_guess(config, folder),
            *_secrets_in_clear(config, document),
        ]
    ]
    return LoadedConfig(config, path.absolute(), text, tuple(sorted(warnings)))


def _without(data: dict[str, Any], error: ValidationError) -> Config | None:
    """The configuration without what is wrong in it, to look for contradictions in the rest.

    None if not even that is one. Nothing is ever run with it.
    """
    rest: Any = copy.deepcopy(data)
    for each in error.errors(include_url=False):
        first, *others = each["loc"] or ("",)
        if first == "backends" and others and "[key]" not in others:
            rest["backends"][others[0]] = NOWHERE
            continue
        if first == "serve" and others and "[key]" not in others:
            rest["serve"].pop(others[0], None)  # models may name it
            rest["backends"] = {others[0]: NOWHERE, **(rest.get("backends") or {})}
            continue
        section, name = rest, first
        for part in others:
            if part != "[key]" and isinstance(section.get(name), dict):
                section, name = section[name], part
        section.pop(name, None)
    if not rest.get("backends") and not rest.get("serve"):
        return None
    try:
        return Config.model_validate(rest)
    except ValidationError:
        return None


def _missing_files(config: Config, folder: Path) -> list[tuple[tuple[str, ...], str]]:
    files: dict[tuple[str, ...], str | None] = {("errors", "page"): config.errors.page}
    if config.tracing is not None:
        files["tracing", "headers_file"] = config.tracing.headers_file
        files["tracing", "ca_file"] = config.tracing.ca_file
    for name, service in config.services.items():
        files["services", name, "users_file"] = service.users_file
        files["services", name, "ca_file"] = service.ca_file
    return [
        (where, f"there is no file {path}")
        for where, path in files.items()
        if path is not None and not (folder / path).is_file()
    ]


def _absent_keys_file(config: Config, folder: Path) -> list[tuple[tuple[str, ...], str]]:
    name = config.auth.keys_file
    if name is None or (folder / name).is_file():
        return []
    return [(("auth", "keys_file"), f"there is no file {name} yet; its keys count when there is")]


def _quick_to_guess(config: Config, folder: Path) -> Iterator[Finding]:
    """Passwords whose hash is apr1."""
    what = (
        "apr1 is MD5, quick to guess for who reads it, and no hash becomes another one: set the "
        "password anew with `openssl passwd -6`"
    )
    for name, service in config.services.items():
        for user, hash_ in service.users.items():
            if is_apr1(hash_.get_secret_value()):
                yield ("services", name, "users", user), what
        if service.users_file is None:
            continue
        text = (folder / service.users_file).read_text(encoding="utf-8", errors="replace")
        users = [line.partition(":") for line in text.splitlines()]
        weak = [user for user, _, hash_ in users if is_apr1(hash_.strip())]
        if weak:
            shown = ", ".join(weak[:5]) + (f" and {len(weak) - 5} more" if len(weak) > 5 else "")
            yield ("services", name, "users_file"), f"{shown}: {what}"


def _secrets_in_clear(config: Config, document: YamlDocument) -> list[tuple[tuple[str, ...], str]]:
    secrets: list[tuple[str, ...]] = [
        ("backends", name, "api_key")
        for name, backend in config.backends.items()
        if backend.api_key and not isinstance(backend, ServedBackend)
    ]
    secrets += [("serve", name, "api_key") for name, each in config.serve.items() if each.api_key]
    secrets += [
        ("serve", name, "environment", variable)
        for name, each in config.serve.items()
        for variable in each.environment
        if _LOOKS_SECRET.search(variable)
    ]
    secrets += [
        ("backends", name, "headers", header)
        for name, backend in config.backends.items()
        for header in backend.headers
        if _LOOKS_SECRET.search(header)
    ]
    secrets += [("services", name, "api_key") for name, s in config.services.items() if s.api_key]
    if config.tls and config.tls.acme and config.tls.acme.eab:
        secrets.append(("tls", "acme", "eab", "hmac_key"))
    if config.store.url is not None and urlsplit(config.store.url.get_secret_value()).password:
        short = isinstance(document.data["store"], str)
        secrets.append(("store",) if short else ("store", "url"))
    return [
        (path, "a secret in clear text; write ${NAME} and set NAME in the environment")
        for path in secrets
        if path not in document.from_environment
    ]
