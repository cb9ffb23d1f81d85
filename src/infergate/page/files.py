"""The page's files: read once, sent whole. What is not among them does not exist."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # and no text ever becomes markup
        "trusted-types 'none'",
    )
)

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def _all() -> Mapping[str, tuple[str, bytes]]:
    """Name below assets/ → its type, and its content compressed."""
    found: dict[str, tuple[str, bytes]] = {}

    def look(folder: Traversable, prefix: str) -> None:
        for each in folder.iterdir():
            name = prefix + each.name
            if each.is_dir():
                look(each, name + "/")
            elif (kind := _TYPES.get(name[name.rfind(".") :])) is not None:
                found[name] = kind, gzip.compress(each.read_bytes(), 9, mtime=0)

    look(files("infergate.page") / "assets", "")
    return found


def file_named(name: str) -> Response | None:
    """The file, for a browser; None if there is none."""
    known = _all().get(name)
    if known is None:
        return None
    kind, packed = known
    return Response(packed, media_type=kind, headers={**HEADERS, "Content-Encoding": "gzip"})
