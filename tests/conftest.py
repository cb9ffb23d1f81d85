"""For all tests: the processes they start take their bytecode from disk, and end with the run;
certificates are loaded once, and files of nginx that are the same are read once.

A gateway is several Python processes. Where PYTHONDONTWRITEBYTECODE is set, as in most containers,
each of them compiles Infergate anew, which takes longer than all else that it does to start.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import crossplane.parser
import httpx
import pytest

from tests import reaper

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_REAPER = reaper.start()

gc.set_threshold(50_000, 20, 20)
"""Instead of 700 objects: a tenth of the time of a test run is looked for garbage in what stays."""


def pytest_collection_finish() -> None:
    """What was collected stays to the end."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def certificates_loaded_once() -> Any:
    """httpx loads those of all authorities for every client, though it may never see https: that
    takes ten times as long as a request."""
    transport = httpx._transports.default
    original = transport.create_ssl_context

    @functools.cache
    def usual(file: str | None, folder: str | None) -> ssl.SSLContext:
        return original()

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None and trust_env:
            return usual(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return original(verify, cert, trust_env)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "create_ssl_context", create)
        yield


@pytest.fixture(scope="session", autouse=True)
def words_of_a_file_found_once() -> Any:
    """Most files of nginx are the same for every gateway, and crossplane finds their words letter
    by letter: half of what a look through them takes. What it refuses is read anew."""
    find = crossplane.parser.lex
    found: dict[bytes, Sequence[Any]] = {}

    def lex(file: str) -> Iterator[Any]:
        key = hashlib.sha256(Path(file).read_bytes()).digest()
        if key not in found:
            try:
                found[key] = tuple(find(file))
            except crossplane.errors.NgxParserBaseException:  # told where it is read, word by word
                return find(file)
        return iter(found[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossplane.parser, "lex", lex)
        yield
