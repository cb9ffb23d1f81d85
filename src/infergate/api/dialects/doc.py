"""docs/dialects.md, from the tables: `python -m infergate.api.dialects.doc`."""

from __future__ import annotations

from infergate.api.dialects.table import ENTRIES, Entry
from infergate.config import endpoints
from infergate.kinds import KINDS
from infergate.kinds.kind import Kind

_PAGE = """# Dialects

Written by `python -m infergate.api.dialects.doc`; edit `src/infergate/api/dialects/table.py`, and
`has` and `lacks` of `src/infergate/kinds/`.

A server that has an endpoint is asked there, by nginx alone. Where no backend of a model has it,
and the configuration has a section `api:`, the API tier asks the endpoint that they have, and puts
the answer into the words of the one that was asked: whole and streamed, errors too. What it asks is
asked as the caller, with its limits, and counted once. Without `api:`, and where nothing fits, the
answer is an error that says who has the endpoint ([endpoints.md](endpoints.md)).

| endpoint | asked as it comes | translated |
|---|---|---|
{rows}
A kind that is in neither column has nothing to translate to. *Others* are servers of OpenAI's API
that are of no kind known here. What most servers have is asked as it comes: one that is older than
its endpoint, or has none, says so itself, and that is passed on.

All streams are asked for with their usage (`stream_options`). Pieces of parallel tool calls that a
server interleaves are put one after the other; arguments that are no object of JSON stand in one,
under `raw_arguments`, where a dialect knows only objects. A stream that breaks off ends in an error
of its dialect: `event: error` of Anthropic's, a line with `error` of Ollama's, `response.failed` of
OpenAI's.
{sections}"""

_SECTION = """
## {path}

Asked is `{target}`.
{lost}{refused}"""


def page() -> str:
    """The whole page."""
    rows = "".join(_row(entry) for entry in ENTRIES)
    sections = "".join(_section(entry) for entry in ENTRIES)
    return _PAGE.format(rows=rows, sections=sections)


def _row(entry: Entry) -> str:
    native = [kind for kind in KINDS.values() if has(kind, entry.path)]
    translated = [
        kind
        for kind in KINDS.values()
        if kind not in native and has(kind, entry.target.split("`")[0])
    ]
    return f"| `{entry.path}` | {_named(native)} | {_named(translated)} |\n"


def _named(kinds: list[Kind]) -> str:
    return ", ".join("others" if each.name == "openai" else each.title for each in kinds)


def has(kind: Kind, path: str) -> bool:
    """Whether servers of a kind have an endpoint themselves."""
    if path.startswith("/api/"):
        return kind.name == "ollama"
    if path in endpoints.SOME_HAVE:
        return kind.name in endpoints.SOME_HAVE[path]
    return path not in kind.lacks


def _section(entry: Entry) -> str:
    lost, refused = _list("Lost", entry.lost), _list("Refused", entry.refused)
    return _SECTION.format(path=entry.path, target=entry.target, lost=lost, refused=refused)


def _list(head: str, listed: tuple[str, ...]) -> str:
    return "\n".join([f"\n{head}:", "", *(f"- {each}" for each in listed), ""]) if listed else ""


if __name__ == "__main__":
    print(page(), end="")
