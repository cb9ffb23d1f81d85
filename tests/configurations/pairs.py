"""One configuration for each feature, and what it makes of nginx's files.

NAME.yaml is what somebody writes, NAME.diff what it changes in the files of minimal.yaml, which are
in minimal.conf. Write them anew with `python -m tests.configurations.pairs`, and read what changed.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from infergate.certificates.served import ServedCertificate
from infergate.config.load import load_config
from infergate.nginx.render import Surroundings, render
from infergate.nginx.waf import Firewall
from infergate.paths import Home

HERE = Path(__file__).parent
BASE = "minimal"
_CONTEXT = 1
_TABLES = ("snippets/claimed.conf", "snippets/stripped.conf")
"""Long lists of header names, the same in all."""

_RANDOM = re.compile(r"\b[0-9a-f]{8,64}\b")
"""Marks made of what they stand for, which mean nothing to a reader."""


def names() -> tuple[str, ...]:
    """All pairs but the base."""
    return tuple(sorted(path.stem for path in HERE.glob("*.yaml") if path.stem != BASE))


@functools.cache
def files_of(name: str) -> Mapping[str, str]:
    """nginx's files by name, without njs' programs, which other tests look at."""
    certificate = ServedCertificate(
        Path("tls/cert.pem"), Path("tls/key.pem"), client_ca=None, responder=None
    )
    around = Surroundings(
        source=f"{name}.yaml",
        home=Home(Path("/var/lib/infergate")),
        certificates=defaultdict(lambda: certificate),
        addresses={"gpu1": ("10.0.0.5",), "gpu2": ("10.0.0.6",), "n8n": ("10.0.0.7",)},
        firewall=Firewall(
            (), Path("/usr/share/modsecurity-crs"), ("REQUEST-901-INITIALIZATION.conf",), None
        ),
        passwords=defaultdict(lambda: ""),
    )
    rendered = render(load_config(HERE / f"{name}.yaml", {}).config, around)
    return {
        file: _RANDOM.sub("…", text)
        for file, text in sorted(rendered.files.items())
        if file.endswith(".conf") and file not in _TABLES
    }


def whole() -> str:
    """The files of the base, one after another."""
    return "".join(f"# --- {name}\n{text}\n" for name, text in files_of(BASE).items())


def difference(name: str) -> str:
    """What a configuration changes in the base's files."""
    before, after = files_of(BASE), files_of(name)
    lines: list[str] = []
    for file in sorted({*before, *after}):
        old, new = (_lines(files.get(file, "")) for files in (before, after))
        lines += difflib.unified_diff(old, new, file, file, n=_CONTEXT, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def write() -> None:
    """All of them anew."""
    (HERE / f"{BASE}.conf").write_text(whole())
    for name in names():
        (HERE / f"{name}.diff").write_text(difference(name))


if __name__ == "__main__":
    write()
