"""What takes long to load is loaded by what needs it, and by nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

DATABASE = ("sqlalchemy", "alembic")
RENDERER = ("jinja2", "cryptography")
ASKING = ("httpx", "anyio")
POSTGRESQL = ("sqlalchemy.dialects.postgresql", "psycopg")
TABLES = ("rich", "pygments", "attr")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "infergate.cli",
            (*DATABASE, *RENDERER, *ASKING, *TABLES, "pydantic", "ruamel.yaml", "asyncio", "ssl"),
        ),
        ("infergate.cli.status", (*DATABASE, *RENDERER, *ASKING)),
        ("infergate.supervise.stop", (*DATABASE, *RENDERER, *ASKING, "pydantic")),
        ("infergate.store.key_changes", ("alembic", *RENDERER, *ASKING)),
        (
            "infergate.supervise.supervisor",
            (*DATABASE, *RENDERER, *ASKING, *TABLES, "pydantic", "http.client", "email"),
        ),
        ("infergate.supervise.prepare", ("alembic", "cryptography", *POSTGRESQL, *TABLES)),
        ("infergate.control.plane", ("alembic", *RENDERER, *POSTGRESQL, *TABLES)),
    ],
)
def test_a_module_does_not_load_what_it_does_not_need(
    module: str, unwanted: tuple[str, ...]
) -> None:
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
