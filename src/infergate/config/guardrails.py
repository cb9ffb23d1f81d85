"""Guardrails: what requests and answers are looked through for (docs/guardrails.md)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infergate.config.base import Section
from infergate.config.problems import Finding, did_you_mean
from infergate.config.types import ModelName, Name, PlainText, Seconds

if TYPE_CHECKING:
    from infergate.config.models import Model
    from infergate.config.root import Config

PiiKind = Literal[
    "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_SSN"
]
"""Presidio's names for what it finds by patterns and checksums, without a model of language."""

Side = Literal["requests", "answers"]
BOTH: tuple[Side, ...] = ("requests", "answers")


def _word(value: str) -> str:
    if not any(each.isalnum() for each in unicodedata.normalize("NFKC", value)):
        raise ValueError(f"{value!r} has no letter and no digit, and would never be found")
    return value


GuardedWord = Annotated[PlainText, AfterValidator(_word)]
Sides = Annotated[list[Side], Field(min_length=1)]


class PersonalData(Section):
    """Personal data. Needs the package presidio-analyzer."""

    entities: list[PiiKind] = Field(min_length=1, description="What is looked for.")
    action: Literal["redact", "refuse"] = Field(
        "redact", description="redact puts <EMAIL_ADDRESS> in its place."
    )
    of: Sides = Field(list(BOTH), description="Where.")


class JudgeModel(Section):
    """A model that says whether a text is safe."""

    model: ModelName = Field(description="It is asked as the caller, who need not be allowed it.")
    prompt: str | None = Field(
        None, max_length=20_000, description="What it is told first; nothing, if not said."
    )
    of: Sides = Field(["requests"], description="What it judges. Answers are held to their end.")
    timeout: Seconds = Field(30.0, ge=0.1, le=600, description="How long it may take.")
    unanswered: Literal["refuse", "pass"] = Field(
        "refuse", description="What becomes of a text when it does not say."
    )


class Guardrail(Section):
    """What is looked for, and what becomes of it. A model or key names it under `guardrails`."""

    deny: list[GuardedWord] = Field(
        [], max_length=10_000, description="Words, or several in a row, that are refused."
    )
    deny_of: Sides = Field(list(BOTH), description="Where they are.")
    allow: list[GuardedWord] = Field(
        [], max_length=10_000, description="Within these, nothing is found: deny, pii."
    )
    pii: PersonalData | None = Field(None, description="Personal data.")
    max_answer: int | None = Field(
        None, ge=1, le=10_000_000, description="Characters of an answer; it ends there."
    )
    judge: JudgeModel | None = Field(None, description="A model that judges.")
    unseen: Literal["refuse", "pass"] = Field(
        "refuse", description="Images, sound, files, tokens as numbers: what is not looked through."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Guardrail:
        if not (self.deny or self.pii or self.max_answer or self.judge):
            raise ValueError("says nothing: deny, pii, max_answer or judge")
        return self


def guards_of(config: Config, model: Model) -> list[str]:
    """The names of all guardrails that hold for a request for this model: its own, and those of
    each that may answer instead of it."""

    def of(name: str) -> Iterator[Model]:
        found = config.models.get(name, config.models.get("*"))
        if found is not None:
            yield found

    first = [model, *(of(model.canary.model) if model.canary is not None else ())]
    others = [each for its in first for name in its.fallback for each in of(name)]
    return sorted({name for each in (*first, *others) for name in each.guardrails})


def guard_contradictions(config: Config) -> Iterator[Finding]:
    """Guardrails that are not there, or could not work."""
    for path, names in _named(config):
        for at, name in enumerate(names):
            if name not in config.guardrails:
                hint = did_you_mean(name, config.guardrails)
                yield (*path, at), f"there is no guardrail {name!r}{hint}"
    if config.guardrails and config.api is None:
        yield ("guardrails",), "the API tier looks through requests: add `api: {}`"
    for name, each in config.guardrails.items():
        if each.pii is not None and not has_presidio():
            yield (
                ("guardrails", name, "pii"),
                "needs the package presidio-analyzer, which is not installed beside Infergate: "
                "`pip install presidio-analyzer`, or take this out",
            )


def _named(config: Config) -> Iterator[tuple[tuple[str, ...], list[Name]]]:
    for model, its in config.models.items():
        yield ("models", model, "guardrails"), its.guardrails
    for key, declared in config.auth.keys.items():
        yield ("auth", "keys", key, "guardrails"), declared.guardrails


def has_presidio() -> bool:
    """Whether it is installed; it is not imported, which takes seconds."""
    from importlib.util import find_spec

    return find_spec("presidio_analyzer") is not None
