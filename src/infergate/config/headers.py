"""Headers that only neighbours and proxies may send: none of a client's goes any further."""

from __future__ import annotations

KEYS = ("Authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Where clients put their key: OpenAI's header, Anthropic's, Azure OpenAI's and Gemini's."""

HOP_BY_HOP = ("Proxy", "Proxy-Authorization", "Proxy-Connection", "Trailer")
"""RFC 9110, 7.6.1, and Proxy, which CGI programs take for HTTP_PROXY (CVE-2016-5385). nginx itself
drops Connection, Keep-Alive, TE, Transfer-Encoding and Upgrade."""

FORWARDED = (
    "Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Originating-IP",
    "X-ProxyUser-IP",
    "True-Client-IP",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "WL-Proxy-SSL",
    "Front-End-Https",
    "X-Url-Scheme",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Host",
    "X-Original-For",
    "X-Original-Proto",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-Envoy-Original-Path",
    "X-Envoy-External-Address",
    "X-Envoy-Internal",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Accel-Mapping",
    "X-Sendfile-Type",
    "X-Middleware-Subrequest",
)
"""What only a proxy may say. Frameworks believe some of them about the address, the host, the
method or even the path of a request."""
