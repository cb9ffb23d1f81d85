"""The rendered nginx files: what an operator reads, and what nobody can inject."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import crossplane
import pytest
from hypothesis import given
from hypothesis import strategies as st

import infergate.nginx
from infergate.certificates.served import ServedCertificate
from infergate.config.load import load_config, parse_config
from infergate.contract.numbers import RELAY_PARTS
from infergate.nginx.relays import relays_of
from infergate.nginx.render import Surroundings, render
from infergate.nginx.rendered import write
from infergate.paths import Home
from infergate.quoting import quoted, quoted_regex, regex_escaped

PROGRAMS = Path(infergate.nginx.__file__).parent / "njs"
EXAMPLES = Path(__file__).parents[2] / "examples"


def around(folder: Path) -> Surroundings:
    certificate = ServedCertificate(Path("/c.crt"), Path("/c.key"), client_ca=None, responder=None)
    return Surroundings(
        source="infergate.yaml",
        home=Home(folder),
        certificates=defaultdict(lambda: certificate),
    )


def directives(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Every directive of the configuration, as crossplane reads it."""
    payload = crossplane.parse(
        str(folder / "nginx.conf"), comments=False, check_args=False, check_ctx=False
    )
    assert payload["status"] == "ok", payload["errors"]

    def walk(block: list[dict]) -> list[tuple[str, tuple[str, ...]]]:
        found = []
        for each in block:
            found.append((each["directive"], tuple(each["args"])))
            found += walk(each.get("block", []))
        return found

    return [each for file in payload["config"] for each in walk(file["parsed"])]


@pytest.mark.parametrize("name", ["minimal", "ollama", "phoenix"])
def test_the_examples_render_to_files_that_another_parser_reads_too(
    name: str, tmp_path: Path
) -> None:
    config = load_config(EXAMPLES / f"{name}.yaml", {}).config
    write(render(config, around(tmp_path)), tmp_path / "out")
    found = directives(tmp_path / "out")
    upstreams = {args[0] for directive, args in found if directive == "upstream"}
    assert set(config.backends) <= upstreams
    assert (tmp_path / "out" / "secrets.conf").stat().st_mode & 0o077 == 0


def test_each_service_has_a_file_of_its_own_and_hosts_are_enabled_by_a_link(tmp_path: Path) -> None:
    config = load_config(EXAMPLES / "phoenix.yaml", {}).config
    write(render(config, around(tmp_path)), tmp_path)
    enabled = {
        str(path.relative_to(tmp_path)): path.resolve().name
        for path in (tmp_path / "sites-enabled").rglob("*.conf")
    }
    assert enabled == {
        "sites-enabled/api.conf": "api.conf",
        "sites-enabled/unknown-host.conf": "unknown-host.conf",
        "sites-enabled/api.d/qdrant.conf": "service-qdrant.conf",
        "sites-enabled/service-n8n.conf": "service-n8n.conf",
        "sites-enabled/service-open-webui.conf": "service-open-webui.conf",
        "sites-enabled/service-portainer.conf": "service-portainer.conf",
    }
    assert all(path.is_symlink() for path in (tmp_path / "sites-enabled").rglob("*.conf"))


@pytest.mark.parametrize(
    "agent",
    [
        'a"b',
        "a'b",
        "a;b",
        "a{b}",
        "a$b",
        "$host",
        "a\\b",
        '"; return 200; #',
        "a b",
        "(?:x",
        "a#b",
        "\\",
        '\\"',
        "$${host}",
    ],
)
def test_a_user_agent_stays_one_parameter_whatever_is_in_it(agent: str, tmp_path: Path) -> None:
    import json

    def rendered(text: str) -> list[tuple[str, tuple[str, ...]]]:
        config = parse_config(
            "backends: { a: http://x:1 }\n"
            f"access: {{ deny_user_agents: [{json.dumps(text)}] }}\n",
            Path("infergate.yaml"),
            {},
        ).config
        write(render(config, around(tmp_path)), tmp_path)
        return directives(tmp_path)

    plain = rendered("sqlmap")
    hostile = rendered(agent)
    assert [name for name, _ in plain if not name.startswith("~")] == [
        name for name, _ in hostile if not name.startswith("~")
    ]
    assert len(plain) == len(hostile)


@given(st.text(max_size=50))
def test_what_is_quoted_is_one_parameter_or_refused(text: str) -> None:
    try:
        written = quoted(text)
    except ValueError:
        assert any(ord(letter) < 32 or letter in "\x7f$" for letter in text)
        return
    inside = written[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inside
    assert "\\" not in inside


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_an_escaped_regular_expression_matches_its_text_only(text: str) -> None:
    import re

    assert re.fullmatch(regex_escaped(text), text)
    assert quoted_regex(regex_escaped(text)).startswith('"')


def test_a_name_that_does_not_resolve_is_refused_at_once_and_does_not_stop_nginx(
    tmp_path: Path,
) -> None:
    config = load_config(EXAMPLES / "ollama.yaml", {}).config
    text = render(config, around(tmp_path)).files["upstreams.conf"]
    assert "server             127.0.0.1:1 max_fails=0;" in text
    assert "ollama-gpu2.internal" in text, "the comment still says where it is"


def test_what_hedging_needs_is_there_only_for_models_that_hedge(tmp_path: Path) -> None:
    text = (
        "backends: { a: https://x:1, b: http://y:1 }\nretries: { until: head }\n"
        "models: { m: { backends: [a, b]%s } }\n"
    )
    without, hedged = (
        render(parse_config(text % more, tmp_path / "infergate.yaml", {}).config, around(tmp_path))
        for more in ("", ", hedge: {}, timeouts: { first_byte: 9s }")
    )
    assert not [path for path, text in without.files.items() if "ig_hedging:" in text]
    assert "attempts.conf" not in without.files
    relays = {
        line.split()[1].removeprefix("@")
        for line in hedged.files["sites-available/api.conf"].splitlines()
        if "location @relay_" in line and "_edited" not in line
    }
    attempts = {
        line.split()[1].strip("/")
        for line in hedged.files["attempts.conf"].splitlines()
        if "location /relay_" in line
    }
    assert relays == attempts
    assert len(relays) > 2


_EVERY_PLACE = """
waf: { mode: block }
backends:
  a: { url: http://127.0.0.1:1, engine: vllm }
  b: { url: https://127.0.0.1:2, engine: vllm }
  c: { url: https://127.0.0.1:3, engine: vllm, verify_tls: false }
models:
  m:
    backends: [a, b, c]
    hedge: {}
    cache: { completions: true }
    timeouts: { first_byte: 9s, idle: 3s }
services: { s: { url: http://127.0.0.1:4, path: /s/ } }
api: { endpoints: ./endpoints, batches: {}, responses: {} }
"""
_GOES = re.compile(r"(?:internalRedirect\(|subrequest\(|X-Accel-Redirect'] = )([^;]*)")


def test_where_njs_sends_a_request_is_a_location(tmp_path: Path) -> None:
    config = parse_config(_EVERY_PLACE, Path("infergate.yaml"), {}).config
    files = render(config, around(tmp_path)).files
    locations = {
        found[1]
        for text in files.values()
        for found in re.finditer(r"^ *location (?:= )?(\S+) ", text, re.MULTILINE)
    }
    named = {
        place
        for path in PROGRAMS.glob("*.js")
        for said in _GOES.findall(path.read_text())
        for place in re.findall(r"'([@/][^']*)'", said)
    }
    assert {"@manage", "@queue", "@realtime", "@stored", "/.infergate/stored"} <= named
    assert named <= locations


def test_njs_finds_how_a_backend_is_reached_in_the_name_of_its_location(tmp_path: Path) -> None:
    """For a WebSocket and for what an engine keeps, there is one location for each suffix; else
    one for each set of timeouts and for each way that the body and the answer go."""
    config = parse_config(_EVERY_PLACE, Path("infergate.yaml"), {}).config
    text = render(config, around(tmp_path)).files["sites-available/api.conf"]
    suffixes = set()
    for relay in relays_of(config):
        suffix = "_".join(["", *relay.name.split("_")[RELAY_PARTS:]])
        assert suffix == relay.suffix
        assert f"location @realtime{suffix} {{" in text
        assert f"location @stored{suffix} {{" in text
        for end in ("", "_edited", "_cached", "_stream"):
            assert f"location {relay.name}{end} {{" in text
        suffixes.add(suffix)
    assert suffixes == {"", "_https", "_https_unverified"}


def test_a_state_folder_with_a_colon_has_its_sockets_elsewhere() -> None:
    assert ":" not in str(Home(Path("/srv/a:b")).attempts_socket)


def test_a_service_that_stands_in_a_foreign_frame_can_keep_its_answers_as_they_are(
    tmp_path: Path,
) -> None:
    config = parse_config(
        "backends: { a: http://x:1 }\n"
        "services:\n"
        "  one: { url: http://x:2, path: /one/ }\n"
        "  two: { url: http://x:3, path: /two/, security_headers: false }\n",
        Path("infergate.yaml"),
        {},
    ).config
    files = render(config, around(tmp_path)).files
    assert "service_headers.conf" in files["sites-available/service-one.conf"]
    assert "service_headers.conf" not in files["sites-available/service-two.conf"]


def test_without_keys_only_names_of_this_machine_are_answered(tmp_path: Path) -> None:
    """A web page could have a name of its own lead here (DNS rebinding)."""
    text = "listen: 127.0.0.1:80\nauth: { required: false }\nbackends: { a: http://x:1 }\n"
    files = render(
        parse_config(text, tmp_path / "infergate.yaml", {}).config, around(tmp_path)
    ).files
    assert "server_name  localhost 127.0.0.1 [::1];" in files["sites-available/api.conf"]
    assert "default_server" not in files["sites-available/api.conf"]
    assert (
        "listen       127.0.0.1:80 default_server;" in (files["sites-available/unknown-host.conf"])
    )


_EVERYTHING = """
backends:
  a: http://127.0.0.1:1
  b: { url: https://10.0.0.1/base, api_key: secret }
models: { m: { backends: [a, b], cache: { ttl: 1h, completions: true } } }
services:
  path: { url: http://127.0.0.1:2/base, path: /path/ }
  host: { url: http://127.0.0.1:3, host: h.test, auth: none, cache: { paths: [/static/] } }
access: { deny_user_agents: [bad], allow_user_agents: [good] }
"""


@pytest.mark.parametrize("text", [_EVERYTHING, (EXAMPLES / "phoenix.yaml").read_text()])
def test_what_nginx_was_hit_by_is_not_in_rendered_files(text: str, tmp_path: Path) -> None:
    """CVE-2026-42533: a string with a capture and a variable of a map with regular expressions.
    CVE-2026-15176: alias, where a rewrite came before."""
    write(render(parse_config(text, Path("i.yaml"), {}).config, around(tmp_path)), tmp_path / "out")
    payload = crossplane.parse(
        str(tmp_path / "out/nginx.conf"), comments=False, check_args=False, check_ctx=False
    )
    blocks = [block for file in payload["config"] for block in _blocks(file["parsed"])]
    of_maps = {
        each["args"][1]
        for block in blocks
        for each in block
        if each["directive"] == "map"
        and any(inner["directive"].startswith("~") for inner in each["block"])
    }
    assert of_maps
    for block in blocks:
        assert {"alias", "rewrite"} - {each["directive"] for each in block}
        for each in block:
            for word in each["args"]:
                variables = set(re.findall(r"\$\w+", word))
                captures = {name for name in variables if name[1:].isdigit()}
                assert not (captures and variables & of_maps), (each["directive"], word)


def _blocks(block: list[dict]) -> Iterator[list[dict]]:
    """This block and all in it."""
    yield block
    for each in block:
        yield from _blocks(each.get("block", []))
