"""What `infergate up` says when the gateway answers."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.config.url import page_url_of, url_of
from infergate.control.report import Report, read_report
from infergate.engine.choose import Engine
from infergate.engine.facts import dotted
from infergate.errors import StateError
from infergate.files import write_atomically
from infergate.health.model_kind import embeds
from infergate.nginx.embedded_limits import FOR_TRYING
from infergate.paths import Home
from infergate.supervise.notify import is_kept

FIRST_KEY_NAME = "first"

_MOST_LINES = 20
"""Of backends; more would hide the key and the line to try."""


def announce(loaded: LoadedConfig, home: Home, engine: Engine, *, demo: bool) -> None:
    """Print the URL, what is behind it, a first key if there is none yet, and a curl line.

    Only a terminal gets the key, because all else may be kept and read by others: `infergate keys
    first` shows it.
    """
    report = read_report(home.health)
    url = url_of(loaded.config)
    print(f"\nInfergate is up: {url}\n")
    njs = dotted(engine.njs_version or ())
    print(f"  engine    nginx {dotted(engine.nginx_version)}, njs {njs} ({engine.origin})")
    if engine.origin == "embedded":
        print(f"            {FOR_TRYING}; `infergate engine install` fetches Debian's")
    for line in _backend_lines(report, demo=demo):
        print(line)
    secret, problem = _first_key(loaded, home)
    if problem is not None:
        print(f"  store     {_indented(problem)}")
        print("            nothing is counted; keys are those of last time")
    if secret is not None and is_kept(sys.stdout):
        write_atomically(home.first_key, secret)
        secret = None
    if secret is not None:
        print(f"  key       {secret}")
        print("            shown this once; `infergate keys create NAME` makes more")
    elif home.first_key.exists():
        print("  key       `infergate keys first` shows it, once")
    elif loaded.config.auth.required and problem is None:
        print("  key       one of yours; `infergate keys create NAME` makes another")
    page = page_url_of(loaded.config)
    if page is not None:
        print(f"  page      {page}; `infergate admin token create` lets you in")
    if shutil.which("infergate") is None:  # as after `make up`
        print(f"  command   {_command()}; `infergate` alone, once its folder is on the PATH")
    model = _a_model(loaded, report)
    print("\nTry it:\n" if model else "\nNo backend has told its models yet. Ask for them:\n")
    print(_curl(loaded, url, model, secret), flush=True)


def _command() -> str:
    """How this program is called from here."""
    path = Path(sys.executable).parent / "infergate"
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _backend_lines(report: Report | None, *, demo: bool) -> list[str]:
    if report is None:
        return ["  backends  not asked yet; `infergate status` shows them"]
    states = Counter(backend.state for backend in report.backends)
    if len(report.backends) > _MOST_LINES:
        said = ", ".join(f"{count} {state}" for state, count in states.most_common())
        return [f"  backends  {said}; `infergate status` shows them"]
    lines: list[str] = []
    for backend in report.backends:
        models = ", ".join(backend.models[:3]) + (", …" if len(backend.models) > 3 else "")
        what = models or "no models listed"
        said = what if backend.serves else backend.reason
        note = " (the built-in demo: no model, an echo)" if demo else ""
        label = "  backends  " if not lines else " " * 12
        lines.append(f"{label}{backend.name}: {backend.state}, {said}{note}")
    return lines


def _indented(problem: StateError) -> str:
    return str(problem).replace("\n", "\n          ")


def _first_key(loaded: LoadedConfig, home: Home) -> tuple[str | None, StateError | None]:
    """The secret of a first key, made if keys are needed and there is not one; and what is wrong
    with the database."""
    # The database takes half a second to load, and `infergate status` does not need it.
    from infergate.admin.gateway import Gateway
    from infergate.admin.keys import NewKey, create_key
    from infergate.store.keys import all_keys

    auth = loaded.config.auth
    gateway = Gateway(loaded, home)
    try:
        keys = all_keys(gateway.database)
        if not auth.required or auth.keys or auth.keys_file or keys:
            return None, None
        return create_key(gateway, NewKey(name=FIRST_KEY_NAME)).key, None
    except StateError as problem:
        return None, problem


def _curl(loaded: LoadedConfig, url: str, model: str | None, secret: str | None) -> str:
    insecure = " -k" if loaded.config.tls and loaded.config.tls.files is None else ""
    parts = []
    if loaded.config.auth.required:
        parts.append(f'-H "Authorization: Bearer {secret or "$INFERGATE_KEY"}"')
    path = "/v1/models"
    if model is not None:
        path, asked = _question(model)
        text = json.dumps({"model": model, **asked}, ensure_ascii=False).replace("'", "'\\''")
        parts.append(f"-d '{text}'")
    return " \\\n    ".join([f"  curl{insecure} {url}{path}", *parts]) + "\n"


def _question(model: str) -> tuple[str, dict[str, object]]:
    """Where a model of its kind is asked, and what."""
    if embeds(model):
        return "/v1/embeddings", {"input": "Hello"}
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}


def _a_model(loaded: LoadedConfig, report: Report | None) -> str | None:
    """A model that can be asked now: chat before embeddings, what is up before what is not. None
    where none is known yet."""
    named = [name for name in loaded.config.models if name != "*"]
    up = [b for b in report.backends if b.serves] if report else []
    found = [model for backend in up for model in backend.models]
    candidates = named or found
    chat = (name for name in candidates if not embeds(name))
    return next(chat, candidates[0] if candidates else None)
