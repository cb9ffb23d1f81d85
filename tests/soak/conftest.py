"""Long campaigns, `make soak`: every test runs on each engine."""

from tests.engine.conftest import engine

__all__ = ["engine"]
