"""A gateway's folder as an earlier commit left it, brought to where a test runs."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

from tests.backends.servers import free_port
from tests.gateway import Gateway

HERE = Path(__file__).parent


class OldGateway(Gateway):
    """Not started. secure: its https address. said: what its commands printed, by file."""

    def __init__(self, engine: str, commit: str, backends: dict[str, str]) -> None:
        super().__init__(engine, "backends: {}\n")
        with tarfile.open(HERE / f"{commit}.tar.xz") as packed:
            packed.extractall(self.folder, filter="data")
        old = self.folder / "gateway"
        shutil.copytree(old / ".infergate", self.home, symlinks=True, dirs_exist_ok=True)
        shutil.copy(old / "api_keys.conf", self.folder)
        self.said = old
        self.https, self.admin = free_port(), free_port()
        text = (old / "infergate.yaml").read_text().replace("embedded", engine)
        self.file.write_text(self.elsewhere(text, **backends))
        self.ca = self.home / "public" / "ca.crt"

    def elsewhere(self, text: str, **urls: str) -> str:
        """The YAML with the ports and backends of this test."""
        ports = {"18080": self.port, "18443": self.https, "18090": self.admin}
        for before, now in ports.items():
            text = text.replace(f":{before}", f":{now}")
        for name, url in urls.items():
            text = re.sub(rf"(?m)^(  {name}: {{ url: )[^,]+", rf"\g<1>{url}", text)
        return text

    def json(self, name: str) -> Any:
        return json.loads((self.said / name).read_text())
