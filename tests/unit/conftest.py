"""For all tests of this folder: what hypothesis makes up may take as long as it does. On a busy
machine a first example takes longer than the 200 ms that are its usual deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
