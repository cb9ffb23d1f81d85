"""`infergate deploy serve`: units and containers that are the engines of `serve:`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infergate.cli.deploy import deploy
from infergate.deploy.serve_commands import word
from infergate.errors import UserError
from tests.unit.deploy.test_folder import everything

CONFIG = """
serve:
  qwen:
    engine: vllm
    model: Qwen/Qwen2.5-32B-Instruct
    name: qwen2.5
    listen: 8001
    gpus: [0, 1, 2, 3]
    tensor_parallel_size: 2
    pipeline_parallel_size: 2
    gpu_memory_utilization: 0.7
    max_model_len: 32768
    args: [--chat-template, '{{ "a" }} $b 5%', --max-num-seqs=64]
    api_key: ${SERVE_KEY}
    environment: { HF_TOKEN: "${HF_TOKEN}" }
  bge:
    engine: tei
    model: BAAI/bge-m3
    listen: 8002
    gpus: [3]
    gpu_memory_utilization: 0.2
    api_key: ${SERVE_KEY}
  e5: { engine: infinity, model: intfloat/e5-base, listen: 8003, after: [bge] }
  words:
    engine: llamacpp
    model: /srv/m.gguf
    listen: "[fd00::5]:8004"
    gpus: [5, 6]
    ready_within: 90s
    api_key: ${OTHER_KEY}
backends: { cloud: { url: "${CLOUD}", api_key: "${CLOUD_KEY}" } }
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for name in ("SERVE_KEY", "OTHER_KEY", "CLOUD", "CLOUD_KEY", "INFERGATE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "infergate.yaml"
    file.write_text(CONFIG)
    return file


def settings(unit: Path) -> dict[str, list[str]]:
    """What a unit says, by setting."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_a_second_run_changes_nothing_and_keeps_the_keys(source: Path) -> None:
    out = source.parent / "out"
    deploy("serve", out, config=source)
    before = everything(out)
    deploy("serve", out, config=source)
    assert everything(out) == before
    keys = dict(line.split("=", 1) for line in (out / "keys.env").read_text().splitlines()[1:])
    assert keys.keys() == {"SERVE_KEY", "OTHER_KEY"}
    assert keys["SERVE_KEY"] != keys["OTHER_KEY"]
    assert min(map(len, keys.values())) > 30
    source.write_text(CONFIG.replace("OTHER_KEY", "THIRD_KEY"))
    deploy("serve", out, config=source)
    assert f"SERVE_KEY={keys['SERVE_KEY']}\n" in (out / "keys.env").read_text()


def test_a_key_of_the_environment_is_the_key(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_KEY", "given-1")
    out = source.parent / "out"
    deploy("serve", out, config=source)
    assert "VLLM_API_KEY=given-1\n" in (out / "env/qwen.env").read_text()
    assert "\nAPI_KEY=given-1\n" in (out / "env/bge.env").read_text()


@pytest.mark.parametrize("kind", ["serve", "serve-docker"])
def test_secrets_are_in_files_of_their_owner_alone(source: Path, kind: str) -> None:
    out = source.parent / "out"
    deploy(kind, out, config=source)
    key = (out / "keys.env").read_text().partition("SERVE_KEY=")[2].splitlines()[0]
    for path in out.rglob("*"):
        if path.is_dir():
            continue
        secret = path.parent.name == "env" or path.name == "keys.env"
        assert (path.stat().st_mode & 0o777 == 0o600) == secret, path
        text = path.read_text()
        assert secret or (key not in text and "hf_secret" not in text), path
    assert f"VLLM_API_KEY={key}" in (out / "env/qwen.env").read_text()
    assert "HF_TOKEN=hf_secret" in (out / "env/qwen.env").read_text()


def test_a_secret_of_an_engine_is_never_made_up(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="no variable HF_TOKEN"):
        deploy("serve", source.parent / "out", config=source)


def test_the_units_say_what_the_file_says(source: Path) -> None:
    out = source.parent / "out"
    deploy("serve", out, config=source)
    qwen = settings(out / "infergate-serve-qwen.service")
    assert qwen["ExecStart"][0].split() == [
        *("/opt/vllm/bin/vllm", "serve", "Qwen/Qwen2.5-32B-Instruct"),
        *("--served-model-name", "qwen2.5", "--host", "127.0.0.1", "--port", "8001"),
        *("--tensor-parallel-size", "2", "--pipeline-parallel-size", "2"),
        *("--gpu-memory-utilization", "0.7", "--max-model-len", "32768", "--chat-template"),
        *r'"{{ \"a\" }} $$b 5%%" --max-num-seqs=64'.split(),
    ]
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,1,2,3" in qwen["Environment"]
    assert qwen["EnvironmentFile"] == ["/etc/infergate/serve/qwen.env"]
    assert qwen["Before"] == ["infergate.service"]
    assert "PrivateDevices" not in qwen
    bge = settings(out / "infergate-serve-bge.service")
    assert "infergate-serve-qwen.service" in bge["After"][0].split(), "they share GPU 3"
    assert "infergate-serve-qwen.service" not in bge["Wants"][0].split()
    assert bge["ExecStart"][0].split()[1:] == [
        *("--model-id", "BAAI/bge-m3", "--served-model-name", "bge"),
        *("--hostname", "127.0.0.1", "--port", "8002"),
    ]
    e5 = settings(out / "infergate-serve-e5.service")
    assert "infergate-serve-bge.service" in e5["Wants"][0].split()
    assert "CUDA_VISIBLE_DEVICES=" in e5["Environment"], "no GPU is no GPU"
    assert e5["ExecStart"][0].split()[-4:] == ["--url-prefix", "/v1", "--device", "cpu"]
    words = settings(out / "infergate-serve-words.service")
    assert "--host fd00::5 --port 8004" in words["ExecStart"][0]
    assert "--split-mode row" in words["ExecStart"][0]
    assert words["ExecStartPost"][0].endswith("serve-ready fd00::5 8004 /health")
    assert words["TimeoutStartSec"] == ["90s"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_understands_the_units(source: Path) -> None:
    out = source.parent / "out"
    text = CONFIG.replace("/srv/m.gguf", "/srv/50% of $a model's.gguf")
    text = text.replace("    engine: vllm\n", "    engine: vllm\n    program: /bin/true\n")
    source.write_text(text)
    deploy("serve", out, config=source)
    units = [str(each) for each in out.glob("infergate-serve*.*") if each.suffix != ".sysusers"]
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [
        line
        for line in ran.stderr.splitlines()
        if "infergate-serve" in line and "is not executable" not in line
    ]
    assert not wrong


@pytest.mark.parametrize("text", ["a b", 'a"b', "a'b", "a\\b", "50%", "$HOME ${X}", ";", "é", ""])
def test_a_word_is_one_word_to_systemd(text: str) -> None:
    # systemd's quotes and backslashes are the shell's here; its doubled % and $ are undone by hand.
    (read,) = shlex.split(word(text))
    assert read.replace("$$", "$").replace("%%", "%") == text


def test_the_containers_say_what_the_file_says(source: Path) -> None:
    out = source.parent / "out"
    deploy("serve-docker", out, config=source)
    services = YAML(typ="safe").load(out / "docker-compose.serve.yml")["services"]
    assert list(services) == ["qwen", "bge", "e5", "words"]
    qwen = services["qwen"]
    assert '{{ "a" }} $$b 5%' in qwen["command"]
    assert qwen["network_mode"] == "host"
    assert qwen["env_file"] == ["env/qwen.env"]
    (devices,) = qwen["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {
        "driver": "nvidia",
        "device_ids": ["0", "1", "2", "3"],
        "capabilities": ["gpu"],
    }
    assert services["bge"]["depends_on"] == {"qwen": {"condition": "service_healthy"}}
    assert "deploy" not in services["e5"]
    assert "/srv/m.gguf:/srv/m.gguf:ro" in services["words"]["volumes"]
    assert "ports" not in str(services), "nothing is published"


def test_the_gateway_in_a_container_waits_for_its_engines(source: Path) -> None:
    out = source.parent / "out"
    deploy("docker", out)
    assert not (out / "docker-compose.serve.yml").exists()
    text = (out / "nginx/infergate.yaml").read_text()
    (out / "nginx/infergate.yaml").write_text(
        text + "\nserve:\n"
        "  words: { engine: llamacpp, model: /srv/m.gguf, listen: 8001, api_key: '${K}' }\n"
    )
    deploy("docker", out)
    written = (out / "docker-compose.serve.yml").read_text()
    assert "words: { condition: service_healthy }" in written
    assert "env_file: [keys.env]" in written
    assert "network_mode: host" in written.partition("  # llama.cpp")[0]
    said = written.partition("services:")[0]
    assert '"ollama_nginx_gateway:host-gateway"' in said, "how others find it then"


def test_units_of_the_gateway_bring_its_engines(source: Path) -> None:
    from infergate.deploy import systemd

    files = {file.path for file in systemd.engine_files(source.parent / "out", source)}
    assert {"serve/install.sh", "serve/infergate-serve-qwen.service", "serve/keys.env"} <= files


def test_ray_gets_an_application_and_its_machines_a_unit_and_a_token(source: Path) -> None:
    source.write_text("""
serve:
  big:
    engine: ray
    model: Qwen/Qwen2.5-72B-Instruct
    nodes: [10.0.0.5, 10.0.0.6]
    listen: 8000
    tensor_parallel_size: 4
    pipeline_parallel_size: 2
    max_model_len: 4096
    replicas: 2
    args: [--enable-prefix-caching, --no-enable-log-requests, --max-num-seqs=64]
    environment: { HF_TOKEN: "${HF_TOKEN}" }
  vectors: { engine: ray, model: a/b, nodes: [10.0.0.5, 10.0.0.6], listen: 8000, embedding: true }
""")
    out = source.parent / "out"
    deploy("serve", out, config=source)
    before = everything(out)
    deploy("serve", out, config=source)
    assert everything(out) == before, "the token is kept"
    told = YAML(typ="safe").load(out / "ray/ray_serve.yaml")
    (application,) = told["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    big, vectors = application["args"]["llm_configs"]
    assert big["model_loading_config"] == {
        "model_id": "big",
        "model_source": "Qwen/Qwen2.5-72B-Instruct",
    }
    assert big["engine_kwargs"] == {
        "tensor_parallel_size": 4,
        "pipeline_parallel_size": 2,
        "gpu_memory_utilization": 0.9,
        "max_model_len": 4096,
        "enable_prefix_caching": True,
        "enable_log_requests": False,
        "max_num_seqs": 64,
    }
    assert big["deployment_config"]["num_replicas"] == 2
    assert big["runtime_env"] == {"env_vars": {"HF_TOKEN": "hf_secret"}}
    assert vectors["engine_kwargs"]["runner"] == "pooling"
    head, other = (settings(out / f"ray/10.0.0.{n}/infergate-ray.service") for n in (5, 6))
    assert "--head --node-ip-address=10.0.0.5" in head["ExecStart"][0]
    assert "--address=10.0.0.5:6379 --node-ip-address=10.0.0.6" in other["ExecStart"][0]
    for name in ("ray_serve.yaml", "ray.env"):
        assert (out / "ray" / name).stat().st_mode & 0o777 == 0o600, "they hold secrets"
    assert len((out / "ray/ray.env").read_text().partition("RAY_AUTH_TOKEN=")[2].strip()) > 30


def test_nothing_to_serve_says_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text("backends: { a: http://127.0.0.1:1 }\n")
    with pytest.raises(UserError, match="serves nothing"):
        deploy("serve", tmp_path / "out", config=file)
    with pytest.raises(UserError, match="no such file"):
        deploy("serve", tmp_path / "out", config=tmp_path / "none.yaml")
