"""Which format a file has, and the draft that several files make together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infergate.errors import UserError
from infergate.imports.compose import is_compose, read_compose
from infergate.imports.draft import Draft
from infergate.imports.litellm import is_litellm, read_litellm
from infergate.imports.llama_swap import is_llama_swap, read_llama_swap
from infergate.imports.nginx import read_nginx
from infergate.imports.olla import is_olla, read_olla
from infergate.imports.prune import prune
from infergate.imports.values import read_yaml

Reader = Callable[[dict[str, Any], str, Draft], None]

KINDS: Mapping[str, tuple[Callable[[dict[str, Any]], bool], Reader]] = MappingProxyType(
    {
        "litellm": (is_litellm, read_litellm),
        "compose": (is_compose, read_compose),
        "llama-swap": (is_llama_swap, read_llama_swap),
        "olla": (is_olla, read_olla),
    }
)
NGINX = "nginx"
_YAML = (".yaml", ".yml")


def read_files(paths: Sequence[Path], folder: Path, kind: str | None = None) -> Draft:
    """What the files say together. folder: of the YAML to be, for paths in it.

    kind: of all of them; found out by each file's name and settings, if not given.
    Raises UserError for a file that has none of the formats.
    """
    draft = Draft()
    nginx: list[Path] = []
    for path in paths:
        if kind == NGINX or (kind is None and path.suffix.lower() not in _YAML):
            nginx.append(path)
            continue
        data = read_yaml(_text(path), str(path))
        name = kind or next((name for name, (fits, _) in KINDS.items() if fits(data)), None)
        if name is None:
            raise UserError(
                "is of no gateway that is known here",
                where=str(path),
                hint=f"Say which it is with --from: {', '.join((NGINX, *KINDS))}.",
            )
        KINDS[name][1](data, path.name, draft)
    if nginx:
        read_nginx(nginx, draft, folder)
    prune(draft)
    return draft


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UserError(f"cannot be read: {problem.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise UserError("is not a text file (UTF-8)", where=str(path)) from None
