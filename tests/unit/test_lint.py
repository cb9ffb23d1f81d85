"""Rendered files that break a rule of ours, or one of gixy's, do not get past a test."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from infergate.certificates.served import ServedCertificate
from infergate.config.load import load_config, parse_config
from infergate.config.root import Config
from infergate.errors import LintError
from infergate.nginx.lint import lint, refuse_findings
from infergate.nginx.render import Surroundings, render
from infergate.nginx.rendered import write
from infergate.paths import Home
from tests.configurations import pairs
from tests.scanners import GIXY

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
PAIRS = tuple(pairs.HERE / f"{name}.yaml" for name in (pairs.BASE, *pairs.names()))

EVERYTHING = """
listen: { http: "*:8080", https: "*:8443", hosts: [api.test] }
tls: { self_signed: true, hsts: true }
backends:
  a: { url: "https://a:1/base", verify_tls: false, api_key: secret }
  b: http://b:1
  c: { url: "http://c:1", engine: ollama }
models:
  kept: { backends: [b], cache: { ttl: 1h }, shadow: { backend: c } }
  m: { backends: [a, b], hedge: {}, timeouts: { first_byte: 9s } }
services:
  q: { url: "http://q:1", path: /q/, api_key: secret }
  n: { url: "https://n:1", host: n.test, auth: none }
  o: { url: "http://o:1", path: /o/, access: { methods: [GET] } }
  g: { url: "grpc://g:1", host: g.test, api_key: secret }
access: { allow: [10.0.0.0/8], deny_user_agents: [sqlmap] }
limits: { per_ip: { rate: 1r/s } }
metrics: { networks: [10.0.0.0/8] }
tracing: { endpoint: "http://t:4318" }
admin: { listen: 127.0.0.1:9090 }
"""


def written(config: Config, folder: Path) -> Path:
    certificate = ServedCertificate(Path("/c.crt"), Path("/c.key"), client_ca=None, responder=None)
    around = Surroundings(
        source="infergate.yaml",
        home=Home(folder),
        certificates=defaultdict(lambda: certificate),
    )
    write(render(config, around), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def rendered_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("everything")
    config = parse_config(EVERYTHING, folder / "infergate.yaml", {}).config
    return config, written(config, folder)


@pytest.fixture
def everything(rendered_once: tuple[Config, Path], tmp_path: Path) -> tuple[Config, Path]:
    config, folder = rendered_once
    return config, Path(shutil.copytree(folder, tmp_path / "out", symlinks=True))


def test_a_configuration_with_everything_breaks_no_rule(everything: tuple[Config, Path]) -> None:
    config, folder = everything
    assert lint(folder, config) == ()


@pytest.mark.parametrize("example", [*EXAMPLES, *PAIRS], ids=lambda path: path.stem)
def test_no_feature_breaks_a_rule(example: Path, tmp_path: Path) -> None:
    config = load_config(example, {}).config
    refuse_findings(written(config, tmp_path), config)


SERVICE = "sites-available/service-q.conf"


@pytest.mark.parametrize(
    ("rule", "file", "old", "new"),
    [
        ("timeouts", "nginx.conf", "proxy_connect_timeout", "#"),
        ("timeouts", SERVICE, "proxy_read_timeout", "#"),
        ("key-checked", SERVICE, "if ($ig_admitted != yes)", "# if"),
        ("key-checked", "snippets/hot.conf", "if ($ig_admitted", "# if"),
        ("key-checked", "sites-available/api.conf", "if ($ig_scrapes", "# if"),
        ("internal-servers", "internal.conf", "listen ", "listen 127.0.0.1:81; #"),
        ("chosen-by-us", SERVICE, "http://_service_q/", "http://$arg_to/"),
        ("chosen-by-us", "sites-available/api.conf", "location @manage", "location /manage"),
        ("if-returns", SERVICE, "return 401;", "add_header X y; return 401;"),
        ("alias", SERVICE, "location /", "location /f { alias /s/; }\nlocation /"),
        ("no-files", SERVICE, "location /", "location /f { root /; }\nlocation /"),
        ("no-files", "nginx.conf", "server_tokens  off;", "autoindex on;"),
        ("callers-key", "snippets/relay.conf", "authorization ", "x-authorization "),
        ("upstream-tls", "sites-available/api.conf", "proxy_ssl_verify ", "# "),
        ("tls-version", "tls.conf", "TLSv1.2", "TLSv1.1 TLSv1.2"),
        ("shutdown-timeout", "nginx.conf", "worker_shutdown_timeout", "#"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_found_where_it_is(
    rule: str, file: str, old: str, new: str, everything: tuple[Config, Path]
) -> None:
    config, folder = everything
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(LintError, match=f"\\.conf:[0-9]+: .*\\({rule}\\)"):
        refuse_findings(folder, config)


def test_what_follows_an_include_is_found_in_its_own_file(everything: tuple[Config, Path]) -> None:
    config, folder = everything
    path = folder / "sites-available" / "api.conf"
    before, after = path.read_text().split("location = /healthz {", 1)
    assert "include" in before
    path.write_text(f"{before}location = /healthz {{ root /;{after}")
    (found,) = lint(folder, config)
    assert found.where == f"sites-enabled/api.conf:{before.count(chr(10)) + 1}"


KNOWN = {
    ("ssrf", "$ig_backend"): "njs sets it, to a name of the YAML (our rule chosen-by-us)",
    ("http_splitting", "$ig_backend"): "the same",
    ("http_splitting", "$ig_content_type"): "njs sets it, to one of two kinds of body",
    ("http_splitting", "$ig_stored"): "njs sets it, to a path it has matched or an encoded name",
    ("http_splitting", "$ig_ticket"): "njs sets it, to a number and a name of the YAML",
    ("http_splitting", "$ig_way"): "njs sets it, to the name of a location",
    ("http_splitting", "$ig_patience"): "njs sets it, to a number",
    ("http_splitting", "$ig_improper"): "njs sets it, always to nothing",
    ("http_splitting", "$ig_awaited"): "the same",
    ("http_splitting", "$ig_cached"): "njs sets it, to HIT, MISS and their like",
    ("http_splitting", "$uri"): "named locations are reached from exact ones: it is one of theirs",
    ("missing_resolver", "proxy_pass"): "it names an upstream; decision 002 has who resolves",
    ("proxy_pass_normalized", ""): "the path of a service is stripped, and that is what does it",
    ("host_spoofing", ""): "server_name has chosen the server; a service's links need the port",
    ("add_header_redefinition", ""): "a service has its own; healthz and redirects need few",
    ("hsts_header", "No Strict"): "a name that is none of ours has no certificate to insist on",
    ("if_is_evil", '"set"'): "set is of the same module as if, and nothing else is in that one",
    ("if_is_evil", '"js_body_filter"'): "njs documents it for if, and a test shows that it holds",
    ("default_server_flag", ""): "api.conf is the first, and by that the one for other names",
}
"""(gixy's check, part of its reason) → why it is no fault here."""


@pytest.mark.long
@pytest.mark.skipif(not GIXY.exists(), reason="`python -m tests.tools` brings gixy")
def test_gixy_finds_nothing_in_the_examples_that_is_not_known(tmp_path: Path) -> None:
    folders = [
        written(load_config(example, {}).config, tmp_path / example.stem) for example in EXAMPLES
    ]
    ran = subprocess.run(
        [GIXY, "-f", "json", *(str(folder / "nginx.conf") for folder in folders)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    findings = json.loads(ran.stdout)
    for folder in folders:
        its = [each for each in findings if each["file"].startswith(f"{folder}/")]
        assert its, "it has read the files: some of the known ones are always there"
    unknown = [
        (each["plugin"], each["reason"], each["file"], each["line"])
        for each in findings
        if not any(each["plugin"] == check and (part in each["reason"]) for check, part in KNOWN)
    ]
    assert unknown == []
