"""What every stream does that is made of chat completions, whatever its dialect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from infergate.api.dialects import chat
from infergate.api.dialects.blocks import Blocks
from infergate.api.dialects.translation import Body


class ChatEvents(ABC):
    """One stream (translation.Events). A dialect says what each chunk, the end and an error become;
    that nothing comes after the end or an error is seen to here."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._usage: chat.ChatUsage | None = None
        self._over = False

    def feed(self, chunk: Body) -> bytes:
        if self._over:
            return b""
        if (told := chat.error_of(chunk)) is not None:
            return self.broken(502, chat.as_error(told))
        self._usage = chat.usage(chunk) or self._usage
        return self._fed(chunk, chat.read_chunk(chunk))

    def end(self) -> bytes:
        if self._over:
            return b""
        if not self._begun:
            return self.broken(502, {"message": "The backend's stream ended before it began."})
        self._over = True
        return self._ending()

    def broken(self, status: int, error: Mapping[str, Any]) -> bytes:
        if self._over:
            return b""
        self._over = True
        return self._failed(status, error)

    @property
    @abstractmethod
    def _begun(self) -> bool:
        """Whether anything came of which an answer could be made."""

    @abstractmethod
    def _fed(self, chunk: Body, said: chat.Said | None) -> bytes:
        """said: what the chunk says; None where it has no choice."""

    @abstractmethod
    def _ending(self) -> bytes: ...

    @abstractmethod
    def _failed(self, status: int, error: Mapping[str, Any]) -> bytes: ...
