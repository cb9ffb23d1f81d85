"""A start with a large configuration reads its YAML once, and not in each of its processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infergate.config import document
from infergate.config.load import LoadedConfig, load_config
from infergate.paths import Home
from infergate.supervise.handed_on import hand_on, take_over

LARGE = (
    "backends:\n"
    + "".join(f"  b{n}: {{ url: http://127.0.0.1:{n}, engine: vllm }}\n" for n in range(1000, 1500))
    + "  last: { url: http://127.0.0.1:1500, api_key: in-clear-text }\nmodels: { m: [b1000] }\n"
)
"""With a warning, whose place must be known."""


class Reads:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = YAML.load

        def load(yaml: YAML, text: str) -> object:
            self.count += 1
            return original(yaml, text)

        monkeypatch.setattr(YAML, "load", load)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    document._parsed.cache_clear()
    return Reads(monkeypatch)


def handed_on(folder: Path, text: str) -> tuple[Path, Home, LoadedConfig]:
    """By a process; the next one knows only what it left."""
    path, home = folder / "infergate.yaml", Home(folder / "home")
    path.write_text(text)
    loaded = load_config(path)
    hand_on(loaded, home)
    document._parsed.cache_clear()
    return path, home, loaded


def test_the_process_that_prepares_a_start_reads_no_yaml_again(
    tmp_path: Path, reads: Reads
) -> None:
    path, home, loaded = handed_on(tmp_path, LARGE)
    assert home.read_already.stat().st_mode & 0o077 == 0, "it may hold secrets"
    take_over(home)
    again = load_config(path)
    assert (again, again.warnings) == (loaded, loaded.warnings)
    assert loaded.warnings
    assert not home.read_already.exists()
    assert reads.count == 1


def test_a_file_that_was_changed_meanwhile_is_read(tmp_path: Path, reads: Reads) -> None:
    path, home, loaded = handed_on(tmp_path, LARGE)
    path.write_text(LARGE + "workers: 3\n")
    take_over(home)
    again = load_config(path)
    assert (again.config.workers, loaded.config.workers) == (3, "auto")
    assert reads.count == 2


@pytest.mark.parametrize("left", ["", "{}", "[]", "\0\1", '{"of":1,"values":{},"places":7}'])
def test_what_was_left_damaged_is_read_again(tmp_path: Path, reads: Reads, left: str) -> None:
    path, home, loaded = handed_on(tmp_path, LARGE)
    home.read_already.write_text(left)
    take_over(home)
    assert load_config(path) == loaded
    assert reads.count == 2


def test_a_small_configuration_leaves_nothing(tmp_path: Path) -> None:
    _, home, _ = handed_on(tmp_path, "backends: { a: http://127.0.0.1:1 }\n")
    assert not home.run.exists()
