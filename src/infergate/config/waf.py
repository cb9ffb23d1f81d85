"""The web application firewall: how strict it is, where, and what it overlooks."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from infergate.config.base import Section
from infergate.config.types import Bytes, FilePath, RequestPath

Mode = Literal["off", "detect", "block"]

_RULES = re.compile(r"(\d{6})(?:-(\d{6}))?")
_TARGET = re.compile(r"[A-Z_]{2,40}(?::[A-Za-z0-9_.\[\]-]{1,100})?")


def _rules(value: Any) -> str:
    text = str(value)
    match = _RULES.fullmatch(text)
    if isinstance(value, bool) or not match or (match[2] and match[2] < match[1]):
        raise ValueError(f"{text!r} is not a rule's number like 942100, or a range 942000-942999")
    return text


def _target(value: str) -> str:
    if not _TARGET.fullmatch(value):
        raise ValueError(f"{value!r} is not what a rule looks at, such as ARGS:q")
    return value


Rules = Annotated[
    str,
    BeforeValidator(_rules),
    WithJsonSchema({"type": ["integer", "string"], "description": "942100, or 942000-942999"}),
]
Target = Annotated[str, AfterValidator(_target)]


class Exclusion(Section):
    """Rules that are not applied, with what they are not applied to."""

    rule: Rules = Field(description="Its number, or a range: 942000-942999.")
    path: RequestPath | None = Field(
        None, description="Only for paths that begin so, as the client writes them."
    )
    target: Target | None = Field(
        None,
        description="Only this part of the request, such as ARGS:q; all of it, when not given.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"rule": value} if isinstance(value, int | str) else value

    @model_validator(mode="after")
    def _one_rule_for_a_target(self) -> Exclusion:
        if self.target is not None and "-" in self.rule:
            raise ValueError("with a target, name a single rule")
        return self


class _FromMode(Section):
    """A mode alone is the short form."""

    @model_validator(mode="before")
    @classmethod
    def _from_mode(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value


class Waf(_FromMode):
    """Web application firewall: ModSecurity with the OWASP Core Rule Set."""

    engine: Literal["modsecurity"] = Field("modsecurity", description="Whose rules.")
    mode: Mode = Field("off", description="What to do with an attack: write it down, or refuse it.")
    paranoia: int = Field(
        1,
        ge=1,
        le=4,
        description="The Core Rule Set's paranoia level; above 1 expect false alarms.",
    )
    threshold: int = Field(
        5, ge=1, le=1000, description="Points from which on it is an attack; a clear sign has 5."
    )
    max_members: int = Field(
        5000,
        ge=100,
        le=100_000,
        description="Members of a service's JSON body, or fields of a form; more are refused. Each"
        " costs about 0.3 ms of CPU.",
    )
    max_text: Bytes = Field(
        4 * 2**20,
        le=12 * 2**20,
        description="Of a service's JSON, XML or form without its files; larger ones are refused. A"
        " megabyte costs about a second of CPU.",
    )
    rules: FilePath | None = Field(
        None, description="Folder of the Core Rule Set; where distributions have it, if not given."
    )
    exclude: list[Exclusion] = Field(
        [], max_length=200, description="Rules that are not applied: 942100, or a section."
    )


class ServiceWaf(_FromMode):
    """What differs for one service."""

    mode: Mode | None = Field(None, description="As of waf; that one's, when not given.")
    max_members: int | None = Field(
        None, ge=100, le=100_000, description="As of waf; that one's, when not given."
    )
    max_text: Bytes | None = Field(
        None, le=12 * 2**20, description="As of waf; that one's, when not given."
    )
    exclude: list[Exclusion] = Field(
        [], max_length=100, description="Rules that are not applied here, besides those of waf."
    )
