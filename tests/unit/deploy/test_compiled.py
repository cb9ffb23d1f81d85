"""What the container has compiled is found in our sources, wherever they import it."""

from __future__ import annotations

import sys

from infergate.deploy import compiled

SOURCE = """
import a.b, c
from d import e as f
from . import near
def later():
    from g.h import i
    if True:
        import j as k
"""


def test_every_import_of_a_source_is_found_however_deep_it_stands() -> None:
    found = ["a.b", "c", "d", "d.e", "g.h", "g.h.i", "j"]
    assert sorted(compiled.names(SOURCE)) == found


def test_what_is_loaded_late_is_among_what_is_compiled() -> None:
    compiled.load_all()
    late = {"crossplane", "openai.resources.chat", "prometheus_client", "rich.table"}
    assert late <= set(sys.modules)
