"""Settings that are accepted already and not acted on yet. A row goes when its feature comes."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.config.root import Config

Finding = tuple[tuple[str | int, ...], str]


def pending(config: Config) -> Iterator[Finding]:
    """Each setting of this configuration that has no effect yet, and what happens instead."""
    for path, timeouts in (
        (("timeouts",), config.timeouts),
        *((("endpoints", path), each) for path, each in config.endpoints.items()),
        *((("models", name, "timeouts"), model.timeouts) for name, model in config.models.items()),
    ):
        if timeouts and "idle" in timeouts.model_fields_set:
            yield (
                (*path, "idle"),
                "idle is not told apart from first_byte yet; the longer of the two holds",
            )
