"""What `infergate up` says when the gateway answers."""

from __future__ import annotations

import json
import sys

from infergate.config.load import LoadedConfig
from infergate.config.url import url_of
from infergate.control.report import Report, read_report
from infergate.errors import StateError
from infergate.nginx.embedded_limits import FOR_TRYING
from infergate.nginx.engine import Engine
from infergate.nginx.engine_facts import dotted
from infergate.paths import Home
from infergate.supervise.notify import writes_to_journal
from infergate.validate.model_kind import embeds

FIRST_KEY_NAME = "first"


def announce(loaded: LoadedConfig, home: Home, engine: Engine, *, demo: bool) -> None:
    """Print the URL, what is behind it, a first key if there is none yet, and a curl line.

    systemd's journal gets no key: it is kept, and read by others.
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
    secret = None
    if writes_to_journal(sys.stdout):
        print("  key       `infergate keys create NAME` makes one; none is made for a journal")
    elif (secret := _first_key(loaded, home)) is not None:
        print(f"  key       {secret}")
        print("            shown this once; `infergate keys create NAME` makes more")
    elif loaded.config.auth.required:
        print("  key       one of yours; `infergate keys create NAME` makes another")
    print("\nTry it:\n")
    print(_curl(loaded, url, report, secret), flush=True)


def _backend_lines(report: Report | None, *, demo: bool) -> list[str]:
    if report is None:
        return ["  backends  not asked yet; `infergate status` shows them"]
    lines: list[str] = []
    for backend in report.backends:
        models = ", ".join(backend.models[:3]) + (", …" if len(backend.models) > 3 else "")
        what = models or "no models listed"
        said = what if backend.serves else backend.reason
        note = " (the built-in demo: no model, an echo)" if demo else ""
        label = "  backends  " if not lines else " " * 12
        lines.append(f"{label}{backend.name}: {backend.state}, {said}{note}")
    return lines


def _first_key(loaded: LoadedConfig, home: Home) -> str | None:
    """The secret of a first key, made if keys are needed and there is not one."""
    # The database takes half a second to load, and `infergate status` does not need it.
    from infergate.admin.gateway import Gateway
    from infergate.admin.keys import NewKey, create_key
    from infergate.store.keys import all_keys

    auth = loaded.config.auth
    gateway = Gateway(loaded, home)
    try:
        if not auth.required or auth.keys or auth.keys_file or all_keys(gateway.database):
            return None
        return create_key(gateway, NewKey(name=FIRST_KEY_NAME)).key
    except StateError:  # the supervisor said so; nginx has the keys of last time
        return None


def _curl(loaded: LoadedConfig, url: str, report: Report | None, secret: str | None) -> str:
    model = _a_model(loaded, report)
    body: dict[str, object] = {"model": model}
    if embeds(model):
        path = "/v1/embeddings"
        body["input"] = "Hello"
    else:
        path = "/v1/chat/completions"
        body["messages"] = [{"role": "user", "content": "Hello"}]
    insecure = " -k" if loaded.config.tls and loaded.config.tls.files is None else ""
    authorization = ""
    if loaded.config.auth.required:
        authorization = f'    -H "Authorization: Bearer {secret or "$INFERGATE_KEY"}" \\\n'
    quoted_body = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"  curl{insecure} {url}{path} \\\n{authorization}    -d '{quoted_body}'\n"


def _a_model(loaded: LoadedConfig, report: Report | None) -> str:
    """A model that can be asked now: chat before embeddings, what is up before what is not."""
    named = [name for name in loaded.config.models if name != "*"]
    up = [b for b in report.backends if b.serves] if report else []
    found = [model for backend in up for model in backend.models]
    candidates = named or found or ["MODEL"]
    return next((name for name in candidates if not embeds(name)), candidates[0])
