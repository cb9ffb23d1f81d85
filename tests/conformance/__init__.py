"""How an OpenAI-compatible gateway behaves when backends and clients misbehave; see README.md."""

from tests.conformance.backends import Backends, running
from tests.conformance.options import Options
from tests.conformance.report import Report, Result
from tests.conformance.suite import run

__all__ = ["Backends", "Options", "Report", "Result", "run", "running"]
