"""The configuration's file, read and written from elsewhere. What is written counts when it is
applied (changes.py)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Request, operation
from infergate.config.json_schema import json_schema
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError, Problem
from infergate.errors import Conflict, NotAllowed, UserError
from infergate.files import locked, write_atomically
from infergate.store.audit import note

_LONGEST = 1_000_000
"""What the loader reads of a file (config/document.py)."""

Text = Annotated[str, Field(max_length=_LONGEST, description="YAML.")]


class ConfigurationText(Document):
    """The file as it is, secrets included."""

    file: str
    text: str
    sha256: str = Field(description="Of the text: what a change of it has to name.")
    editable: bool = Field(description="Whether `admin: edit` lets it be written from here.")


class ConfigurationDraft(Request):
    """A text that may become the file."""

    text: Text


class NewText(ConfigurationDraft):
    """A text for the file."""

    sha256: str = Field(max_length=64, description="Of the text it replaces: of what was read.")


class Place(Document):
    """A problem of a text. line, column: from 1."""

    line: int
    column: int
    message: str


class CheckedConfiguration(Document):
    """What is wrong with a text, and what is only worth a warning."""

    problems: list[Place]
    warnings: list[Place]


@operation("GET", "/configuration:schema")
def configuration_schema(gateway: Gateway) -> dict[str, Any]:  # noqa: ARG001 - the same for every one
    """The JSON Schema of the file (`infergate schema`)."""
    return json_schema()


@operation("POST", "/configuration:read")
def read_configuration(gateway: Gateway) -> ConfigurationText:
    """The file's text; needs a token for changes, for there may be secrets in it."""
    text = _text(gateway.declared.path)
    return ConfigurationText(
        file=str(gateway.declared.path),
        text=text,
        sha256=_sha256(text),
        editable=gateway.declared.config.admin.edit,
    )


@operation("POST", "/configuration:check")
def check_configuration(gateway: Gateway, body: ConfigurationDraft) -> CheckedConfiguration:
    """Everything that is wrong with a text, as `infergate check` finds it in the file; without
    what only nginx finds."""
    try:
        loaded = parse_config(body.text, gateway.declared.path)
    except ConfigError as error:
        return CheckedConfiguration(problems=[_place(each) for each in error.problems], warnings=[])
    except UserError as error:
        return CheckedConfiguration(
            problems=[Place(line=1, column=1, message=error.what)], warnings=[]
        )
    return CheckedConfiguration(problems=[], warnings=[_place(each) for each in loaded.warnings])


@operation("PUT", "/configuration")
def write_configuration(gateway: Gateway, body: NewText) -> ConfigurationText:
    """Write the file, unless somebody changed it since. It counts when it is applied."""
    path = gateway.declared.path
    if not gateway.declared.config.admin.edit:
        raise NotAllowed(
            "the configuration is not written from here",
            where=str(path),
            hint="`admin: { edit: true }` allows it; else change the file at its machine.",
        )
    parse_config(body.text, path)
    with locked(gateway.home.run / "configuration.lock"), gateway.database.write() as connection:
        before = _sha256(_text(path))
        if before != body.sha256:
            raise Conflict(
                "the file was changed by somebody else meanwhile",
                where=str(path),
                hint="Read it again, and make your change in what is there now.",
            )
        after = _sha256(body.text)
        note(
            connection,
            "configuration.write",
            path.name,
            before={"sha256": before},
            after={"sha256": after},
        )
        file = path.resolve()  # a link stays one
        write_atomically(file, body.text, mode=file.stat().st_mode & 0o777)
    return read_configuration(gateway)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise Conflict(f"cannot be read: {problem.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise Conflict("is not a text file (UTF-8)", where=str(path)) from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _place(problem: Problem) -> Place:
    return Place(line=problem.line, column=problem.column, message=problem.message)
