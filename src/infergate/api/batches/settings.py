"""What the active configuration says of files and batches, whenever it is asked."""

from __future__ import annotations

from pathlib import Path

from infergate.config.batches import Batches
from infergate.config.root import Config
from infergate.errors import InfergateError
from infergate.live.revisions import load_applied
from infergate.log import log
from infergate.paths import Home


class Settings:
    """config: the configuration that is active."""

    def __init__(self, path: Path, home: Home) -> None:
        self._path, self._home = path, home
        self._active = self._revision()
        self.config: Config = load_applied(home, path).config
        self._found = _of(self.config) or Batches()

    def __call__(self) -> Batches:
        """As they are now. While the configuration cannot be read, or has none, as they were."""
        try:
            active = self._revision()
            if active != self._active:
                self.config = load_applied(self._home, self._path).config
                self._found = _of(self.config) or self._found
                self._active = active
        except (InfergateError, OSError) as problem:
            log.error("the configuration was not read again", problem=str(problem))
        return self._found

    def _revision(self) -> str:
        return str(self._home.current.resolve())


def _of(config: Config) -> Batches | None:
    return None if config.api is None else config.api.batches
