"""What docs/import.md prints becomes a gateway that the old key opens."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.backends.servers import free_port, scripted
from tests.backends.web_service import web_service
from tests.gateway import Gateway, run_here, until
from tests.pages import DOCS, blocks

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""Which nginx runs it has no part in this."""


@pytest.mark.long
def test_the_page_about_importing_works_as_printed(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx, keys, _import, shown, up = (
        block.text
        for block in blocks(DOCS / "import.md")
        if block.section == "From hand-written nginx"
    )
    it = Gateway(engine, "backends: {}\n")
    it.file.unlink()
    monkeypatch.chdir(it.folder)
    try:
        Path("nginx.conf").write_text(nginx)
        Path("api_keys.conf").write_text(keys)
        for words in ("import nginx.conf api_keys.conf -o infergate.yaml", "check"):
            assert f"infergate {words}" in _import
            ran = run_here(words.split(), {"INFERGATE_HOME": str(it.home)})
            assert ran.returncode == 0, ran.stdout + ran.stderr
        written = it.file.read_text()
        assert written.partition("\n")[2] == shown
        assert up == "infergate up --detach\n"
        with scripted(name="a", models=["m"]) as a, web_service() as qdrant:
            for before, now in (
                ("http: 8080", f"http: 127.0.0.1:{it.port}"),
                ("127.0.0.1:18001", f"127.0.0.1:{a.port}"),
                ("127.0.0.1:18002", f"127.0.0.1:{free_port()}"),
                ("127.0.0.1:16333", f"127.0.0.1:{qdrant.url.rpartition(':')[2]}"),
            ):
                written = written.replace(before, now)
            it.file.write_text(f"engine: {engine}\n{written}")
            it.run("up", "--detach")
            it.key = "a-key-of-alices"
            until(lambda: it.chat().status_code == 200)
            assert it.chat(key="another").status_code == 401
            assert httpx.get(f"{it.url}/qdrant/x").status_code == 401
            assert it.get("/qdrant/x").status_code != 401
            until(lambda: "alice" in it.run("usage").stdout)
    finally:
        it.remove()
