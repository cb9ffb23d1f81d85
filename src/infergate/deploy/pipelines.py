"""Configurations of programs that carry the access log elsewhere, with this gateway's paths.

Elasticsearch gets the line as it is; its ingest pipeline gives it Elastic's names (ledger/ecs.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from infergate.deploy.templates import filled
from infergate.errors import UserError
from infergate.ledger.ecs import VERSION, name_of
from infergate.nginx.access_line import CACHE, DEPRECATED, FIELDS, SERVICE, TRACE
from infergate.nginx.access_line_schema import json_schema
from infergate.paths import Home

INDEX = "logs-infergate.access-default"
"""A data stream by Elastic's naming scheme: type, dataset, namespace."""

ELASTICSEARCH, LOKI = "http://127.0.0.1:9200", "http://127.0.0.1:3100"


class Pipeline(NamedTuple):
    """template: "" where it is made here. to: where it sends to, if nobody says."""

    what: str
    template: str = ""
    to: str = ELASTICSEARCH


PIPELINES: Mapping[str, Pipeline] = {
    "filebeat": Pipeline("Filebeat to Elasticsearch", "filebeat.yml.j2"),
    "logstash": Pipeline("Logstash to Elasticsearch", "logstash.conf.j2"),
    "vector": Pipeline("Vector to Elasticsearch", "vector.yaml.j2"),
    "fluent-bit": Pipeline("Fluent Bit to Elasticsearch", "fluent-bit.yaml.j2"),
    "rsyslog": Pipeline("rsyslog to Elasticsearch", "rsyslog.conf.j2"),
    "alloy": Pipeline("Grafana Alloy to Loki", "alloy.j2", LOKI),
    "elasticsearch-template": Pipeline("Elasticsearch: PUT _index_template/infergate"),
    "elasticsearch-pipeline": Pipeline("Elasticsearch: PUT _ingest/pipeline/infergate"),
}


def pipeline(name: str, home: Home, to: str | None = None) -> str:
    """The configuration. to: base URL of where it sends to. Raises UserError for an unknown name
    or URL."""
    found = PIPELINES.get(name)
    if found is None:
        raise UserError(
            f"there is no pipeline {name!r}", where="NAME", hint=f"One of {', '.join(PIPELINES)}."
        )
    if name == "elasticsearch-template":
        return json.dumps(_index_template(), indent=2) + "\n"
    if name == "elasticsearch-pipeline":
        return json.dumps(_ingest_pipeline(), indent=2) + "\n"
    url = (to or found.to).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or '"' in url or " " in url:
        raise UserError(f"{url!r} is no URL", where="--to", hint=f"Such as {found.to}.")
    tls = parts.scheme == "https"
    return filled(
        "logging",
        found.template,
        log=str(home.access_log),
        folder=str(home.logs),
        index=INDEX,
        to=url,
        host=parts.hostname,
        port=parts.port or (443 if tls else 80),
        tls=tls,
    )


_ALL = (*FIELDS, DEPRECATED, CACHE, *TRACE, SERVICE)
_OF_TEXT = {"type": "keyword", "ignore_above": 1024}
_MADE = {"ts": "", "time": "", "v": "", "request_time": "", "protocol": ""}


def _index_template() -> dict[str, Any]:
    return {
        "index_patterns": ["logs-infergate.access-*"],
        "data_stream": {},
        "priority": 200,
        "template": {
            "settings": {"index": {"mapping": {"total_fields": {"limit": 200}}}},
            "mappings": {"dynamic": False, "properties": _mappings()},
        },
        "_meta": {"description": f"Infergate's access log in the names of ECS {VERSION}"},
    }


def _mappings() -> dict[str, Any]:
    properties = json_schema()["properties"]
    found: dict[str, Any] = {"@timestamp": {"type": "date"}}
    flat = {"event.duration": {"type": "long"}, "http.version": _OF_TEXT, "ecs.version": _OF_TEXT}
    for each in _ALL:
        if each.name not in _MADE:
            flat[name_of(each.name)] = _type_of(each.name, properties[each.name])
    for path, kind in flat.items():
        *folders, last = path.split(".")
        into = found
        for folder in folders:
            into = into.setdefault(folder, {"properties": {}})["properties"]
        into[last] = kind
    return found


def _type_of(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds = schema.get("type", "string")
    if name == "ip":
        return {"type": "ip"}
    if kinds == "array":
        inner = schema["items"]["properties"]
        return {"properties": {each: _type_of(each, about) for each, about in inner.items()}}
    if "integer" in kinds:
        return {"type": "long"}
    if "number" in kinds:
        return {"type": "double"}
    return {"type": "boolean"} if kinds == "boolean" else _OF_TEXT


def _ingest_pipeline() -> dict[str, Any]:
    renamed = [
        {"rename": {"field": each.name, "target_field": to, "ignore_missing": True}}
        for each in _ALL
        if each.name not in _MADE and (to := name_of(each.name)) != each.name
    ]
    dotted = [
        {"dot_expander": {"field": each.name, "override": True}}
        for each in _ALL
        if "." in each.name
    ]
    return {
        "description": f"A line of Infergate's access log in the names of ECS {VERSION}",
        "processors": [
            *dotted,
            {"date": {"field": "ts", "formats": ["UNIX"], "target_field": "@timestamp"}},
            {"script": {"lang": "painless", "source": _SCRIPT}},
            {"gsub": {**_VERSION, "pattern": "^HTTP/", "replacement": ""}},
            {"set": {"field": "ecs.version", "value": VERSION}},
            {"set": {"field": "event.dataset", "value": "infergate.access"}},
            *renamed,
            {"remove": {"field": ["ts", "time", "v", "request_time"], "ignore_missing": True}},
            {"remove": {"field": "protocol", "ignore_missing": True}},
        ],
    }


_VERSION = {"field": "protocol", "target_field": "http.version", "ignore_missing": True}
_SCRIPT = (
    "if (ctx.event == null) { ctx.event = [:] } "
    "ctx.event.duration = Math.round(ctx.request_time * 1000000000.0); "
    "ctx.event.outcome = ctx.status == 0 || ctx.status >= 400 ? 'failure' : 'success';"
)
