"""Lines of the access log of version 1, which gateways wrote until 2026-11: read as version 2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ASKED_TOO = re.compile(r"asked (\S+) too after")  # njs/hedging.js


def from_version_1(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the fields of version 2 (nginx/access_line.py); what it did not say is None.

    Raises KeyError, TypeError, ValueError or AttributeError where it is no line.
    """
    prompt, completion, cached, *counted = entry["tokens"] or (None, None, None)
    return {
        **entry,
        "v": 2,
        "model_asked": None,
        "gen_ai.request.model": entry["model"],
        "attempts": list(_attempts(entry)),
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": completion,
        "gen_ai.usage.cache_read.input_tokens": cached,
        "tokens_estimated": bool(counted),
        "completed": entry.get("completed", "OK") == "OK",
    }


def _attempts(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    # Asked too while another was late: by the gateway itself, so nginx had no status of it.
    hedged = _ASKED_TOO.findall(entry.get("why", ""))
    tried = [name for name in entry["tried"].split(",") if name]
    names = [*tried, entry["backend"]] if entry["backend"] else tried
    known = [name for name in names if name not in hedged]
    # nginx's own second try on a fresh connection had a status of its own; the last ones count.
    statuses = _list(entry, "upstream_status")[-len(known) :]
    headers = _list(entry, "upstream_header_time")[-len(known) :]
    said = dict(zip(known, zip(statuses, headers, strict=False), strict=False))
    for name in names:
        status, header_s = said.get(name, ("-", "-"))
        yield {
            "backend": name,
            "status": int(status) if status.isdigit() else None,
            "header_time": float(header_s) if header_s not in ("", "-") else None,
            "response_time": None,
        }


def _list(entry: Mapping[str, Any], name: str) -> list[str]:
    return re.split(r"[ ,:]+", entry.get(name, ""))
