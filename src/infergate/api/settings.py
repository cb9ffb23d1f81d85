"""What the active configuration says of a part of the API tier, whenever it is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from infergate.config.api import Api
from infergate.config.root import Config
from infergate.errors import InfergateError
from infergate.live.revisions import load_applied
from infergate.log import log
from infergate.paths import Home

T = TypeVar("T")


class Settings(Generic[T]):
    """config: the configuration that is active."""

    def __init__(self, path: Path, home: Home, part: Callable[[Api], T | None], usual: T) -> None:
        """part: of `api`. usual: where that has none."""
        self._path, self._home, self._part = path, home, part
        self._active = self._revision()
        self.config: Config = load_applied(home, path).config
        self._found = self._of(self.config) or usual

    def __call__(self) -> T:
        """As they are now. While the configuration cannot be read, or has none, as they were."""
        try:
            active = self._revision()
            if active != self._active:
                self.config = load_applied(self._home, self._path).config
                self._found = self._of(self.config) or self._found
                self._active = active
        except (InfergateError, OSError) as problem:
            log.error("the configuration was not read again", problem=str(problem))
        return self._found

    def _revision(self) -> str:
        return str(self._home.current.resolve())

    def _of(self, config: Config) -> T | None:
        return None if config.api is None else self._part(config.api)
