"""Has Python compile what Infergate loads, and nothing else of the packages that it comes with:
`python -m infergate.deploy.compiled`, where they were installed without their compiled files.

A container cannot write into its own files, so what is not compiled there is compiled anew at each
start. But compiled files are as large as the sources, and most modules are never loaded.
"""

from __future__ import annotations

import ast
import compileall
import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import infergate
from infergate.config.example_yaml import example
from infergate.config.load import parse_config

_BY_NAME = (
    *("anyio._backends._asyncio", "sqlalchemy.dialects.postgresql.psycopg", "typer._adapters"),
    *("typer._click.decorators", "typer.rich_utils"),
    *("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.h11_impl"),
)
"""Modules that a package loads by a name that is text."""

_OF_OPENAI = ("audio", "chat", "embeddings", "files", "images", "models", "responses")
"""What its client loads when it is first used (api/endpoints/call.py)."""


def names(text: str) -> Iterator[str]:
    """The modules that a source names in its imports, wherever those stand; without relative ones.
    What is imported from a package may be a module, too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def load_all() -> None:
    """Import what our modules do at any time, which compiles it."""
    folder = Path(infergate.__file__).parent
    found = dict.fromkeys(_BY_NAME)
    for path in sorted(folder.rglob("*.py")):
        found.update(dict.fromkeys(names(path.read_text(encoding="utf-8"))))
    for name in found:
        if "__main__" not in name:
            with suppress(ImportError):  # a name in a module, or what another system has
                importlib.import_module(name)
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="none", base_url="http://localhost")
    for name in _OF_OPENAI:
        getattr(client, name)


def main() -> None:
    """As above."""
    sys.dont_write_bytecode = False
    compileall.compile_dir(Path(infergate.__file__).parent, quiet=1)
    load_all()
    # ruamel.yaml loads more of itself when it is used.
    parse_config(example(), Path("example.yaml"))


if __name__ == "__main__":
    main()
