"""A plugin for the pytest that runs a suite: writes each test's outcome, and leaves out what failed
at the engine. It is copied to where that pytest finds it, beside no other module of ours.

llama.cpp's suite gives a server 60 seconds to start, which is not enough for one with a gateway on
a busy machine, and starts each kind once before, to fetch its model.

PEERS_OUTCOMES: the file to write. PEERS_ONLY: a file with the names of the tests to run, if any.
PEERS_MODEL: a model that is here already.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

PATIENCE_S = 600
"""For a start."""

_outcomes: dict[str, str] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "PEERS_ONLY" not in os.environ:
        return
    only = set(json.loads(Path(os.environ["PEERS_ONLY"]).read_text()))
    left = [item for item in items if item.nodeid not in only]
    items[:] = [item for item in items if item.nodeid in only]
    config.hook.pytest_deselected(items=left)


def pytest_collection_finish() -> None:
    suite = sys.modules.get("utils")
    if hasattr(suite, "ServerProcess"):
        suite.ServerProcess.start.__defaults__ = (PATIENCE_S,)
        if os.environ.get("PEERS_MODEL"):
            suite.ServerPreset.load_all = staticmethod(lambda: None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """passed only where its setup, itself and its teardown have."""
    before = _outcomes.get(report.nodeid, "passed")
    if before == "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # xdist's workers tell their controller
        Path(os.environ["PEERS_OUTCOMES"]).write_text(json.dumps(_outcomes))
