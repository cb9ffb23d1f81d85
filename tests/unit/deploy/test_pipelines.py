"""Configurations for programs that carry the log elsewhere. rsyslog runs, before a double of
Elasticsearch's bulk API; Vector's, Filebeat's, Fluent Bit's, Logstash's and Alloy's programs cannot
be had from a registry here: their files are read as what they are (YAML, blocks) and for paths."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infergate.deploy.pipelines import INDEX, PIPELINES, pipeline
from infergate.errors import UserError
from infergate.ledger.ecs import as_ecs
from infergate.nginx.access_line import CACHE, FIELDS, SERVICE, TRACE
from infergate.paths import Home
from tests.access_log import attempt, line
from tests.gateway import run_here, until
from tests.serving import serving
from tests.tools import missing

RSYSLOGD = "/usr/sbin/rsyslogd"


class Bulk:
    """A double of Elasticsearch's bulk API. Its first answer is 429, as where it is too busy."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.actions: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.busy = 1
        it = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer({})

            do_HEAD = do_GET

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                self.answer(it.take(self.path, text))

            def answer(self, said: dict[str, Any]) -> None:
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, text: str) -> dict[str, Any]:
        rows = [json.loads(each) for each in text.split("\n") if each]
        actions, documents = rows[::2], rows[1::2]
        busy, self.busy = self.busy, 0
        status = 429 if busy else 201
        if not busy:
            self.paths.append(path)
            self.actions += actions
            self.documents += documents
        item: dict[str, Any] = {"_index": INDEX, "_id": "1", "status": status}
        if busy:
            item["error"] = {"type": "es_rejected_execution_exception", "reason": "busy"}
        return {"took": 1, "errors": bool(busy), "items": [{"create": item}] * len(documents)}


@contextmanager
def bulk() -> Iterator[Bulk]:
    it = Bulk()
    with serving(it.server):
        yield it


@pytest.mark.skipif("rsyslogd" in missing(), reason="python -m tests.tools brings rsyslog")
def test_rsyslog_brings_every_line_to_elasticsearch_also_over_a_rotation(tmp_path: Path) -> None:
    config = tmp_path / "infergate.yaml"
    config.write_text("listen: 8080\nbackends: { a: http://127.0.0.1:9 }\n")
    home = Home(tmp_path / "home")
    home.logs.mkdir(parents=True)
    environ = {"INFERGATE_HOME": str(home.root)}
    odd = 'say "hi" \\ \u2028 ü'
    lines = [line(user_agent=odd), line(status=503, attempts=[attempt("a", None, None)])]
    home.access_log.write_text("".join(lines))
    with bulk() as elastic:
        command = ["logs", "pipeline", "rsyslog", "--to", elastic.url, "-c", str(config)]
        ran = run_here(command, environ)
        assert ran.returncode == 0, ran.stderr
        file = tmp_path / "rsyslog.conf"
        # On a machine, rsyslog's own file says where it keeps things.
        file.write_text(f'global(workDirectory="{tmp_path}")\n{ran.stdout}')
        checked = subprocess.run(
            [RSYSLOGD, "-N1", "-f", str(file)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        running = subprocess.Popen(
            [RSYSLOGD, "-n", "-f", str(file), "-i", str(tmp_path / "pid")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: len(elastic.documents) >= 2, 90)
            home.access_log.rename(home.logs / "access.log.20261130T000000")
            lines.append(line())
            home.access_log.write_text(lines[-1])
            until(lambda: len(elastic.documents) >= 3, 90)
        finally:
            running.terminate()
            running.wait(60)
    by_id = {each["id"]: each for each in elastic.documents}
    assert by_id == {each["id"]: each for each in map(json.loads, lines)}
    for action, document in zip(elastic.actions, elastic.documents, strict=True):
        about = action["create"]
        assert (about["_index"], about["pipeline"]) == (INDEX, "infergate")
        assert about["_id"].endswith(f"-{document['id']}"), "sent twice, it is there once"


@pytest.mark.parametrize("name", PIPELINES)
def test_each_pipeline_names_this_gateway_s_log(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    text = pipeline(name, home, None)
    if not name.startswith("elasticsearch-"):
        assert str(home.access_log) in text
    assert "{{" not in text
    assert "{%" not in text
    if PIPELINES[name].template.removesuffix(".j2").endswith((".yml", ".yaml")):
        assert isinstance(YAML(typ="safe").load(text), dict)
    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)


def test_a_pipeline_that_is_none_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no pipeline 'splunk'") as told:
        pipeline("splunk", Home(tmp_path))
    assert "vector" in str(told.value)
    with pytest.raises(UserError, match="is no URL"):
        pipeline("vector", Home(tmp_path), 'http://x"\nevil: {}')


def test_elasticsearch_s_own_pipeline_makes_of_a_line_what_ecs_has(tmp_path: Path) -> None:
    """By a reader of these few processors, as Elasticsearch's documentation has them."""
    fields = {"cache": "MISS", "service": "", "trace_id": "a" * 32, "parent_span_id": "b" * 16}
    text = line(attempts=[attempt("a", 200, 0.1)], **fields)
    document = json.loads(text)
    for each in json.loads(pipeline("elasticsearch-pipeline", Home(tmp_path)))["processors"]:
        run_processor(document, each)
    wanted = json.loads(as_ecs(text) or "")
    for path in ("gen_ai", "client", "url", "user", "http", "infergate", "user_agent", "trace"):
        assert without_empty(document[path]) == wanted[path], path
    assert "ts" not in document
    mapped = json.loads(pipeline("elasticsearch-template", Home(tmp_path)))
    properties = mapped["template"]["mappings"]["properties"]
    assert_mapped(without_empty(document), properties)
    assert {each.name for each in (*FIELDS, CACHE, *TRACE, SERVICE)} >= set(json.loads(text))


def run_processor(document: dict[str, Any], processor: dict[str, Any]) -> None:
    (kind, about), *_ = processor.items()
    if kind == "dot_expander":
        if about["field"] in document:  # fields that are not in every line
            put(document, about["field"], document.pop(about["field"]))
    elif kind == "rename":
        value = taken(document, about["field"])
        if value is not None:
            put(document, about["target_field"], value)
    elif kind == "gsub":
        value = re.sub(about["pattern"], about["replacement"], document[about["field"]])
        put(document, about["target_field"], value)
    elif kind == "set":
        put(document, about["field"], about["value"])
    elif kind == "remove":
        names = about["field"]
        for name in names if isinstance(names, list) else [names]:
            document.pop(name, None)
    else:
        assert kind in ("date", "script"), kind


def taken(document: dict[str, Any], path: str) -> Any:
    *folders, last = path.split(".")
    for each in folders:
        document = document.get(each, {})
    return document.pop(last, None)


def put(into: dict[str, Any], path: str, value: object) -> None:
    *folders, last = path.split(".")
    for each in folders:
        into = into.setdefault(each, {})
    into[last] = value


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        found = {name: without_empty(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each not in ("", None, {})}
    return value


def assert_mapped(document: dict[str, Any], properties: dict[str, Any]) -> None:
    for name, value in document.items():
        if name in ("event", "ecs"):
            continue
        assert name in properties, name
        if isinstance(value, dict):
            assert_mapped(value, properties[name]["properties"])
