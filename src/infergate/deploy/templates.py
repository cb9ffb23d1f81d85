"""The templates of a kind of deployment: files that look as if written by hand, with few gaps."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

from jinja2 import Environment, StrictUndefined

_SUFFIX = ".j2"


def template(kind: str, path: str) -> str:
    """The text of one that has no gaps."""
    folder = resources.files("infergate.deploy").joinpath("templates", kind)
    return folder.joinpath(path).read_text(encoding="utf-8")


def filled(kind: str, path: str, **values: object) -> str:
    """The text of one with its gaps filled."""
    return _environment().from_string(template(kind, path)).render(values)


def _environment() -> Environment:
    return Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - nothing of it is HTML
    )


def rendered(kind: str, **values: object) -> Iterator[tuple[str, str]]:
    """Each template of a kind: its path without `.j2`, and its text with the gaps filled."""
    environment = _environment()
    folder = resources.files("infergate.deploy").joinpath("templates", kind)
    for path, text in _texts(folder, ""):
        if path.endswith(_SUFFIX):
            text = environment.from_string(text).render(values)
        yield path.removesuffix(_SUFFIX), text


def _texts(folder: Traversable, within: str) -> Iterator[tuple[str, str]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        path = f"{within}{each.name}"
        if each.is_dir():
            if each.name != "__pycache__":
                yield from _texts(each, f"{path}/")
        else:
            yield path, each.read_text(encoding="utf-8")
