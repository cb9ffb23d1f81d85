"""Headers that do not pass: of a client towards backends and services, and of their answers."""

from __future__ import annotations

HOP_BY_HOP = ("Proxy", "Proxy-Authorization", "Proxy-Connection", "Trailer")
"""RFC 9110, 7.6.1, and Proxy, which CGI programs take for HTTP_PROXY (CVE-2016-5385). nginx itself
drops Connection, Keep-Alive, TE, Transfer-Encoding and Upgrade."""

FORWARDED = (
    "Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-Method",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-HTTP-Method-Override",
)
"""What only a proxy may say. Frameworks believe some of them about the address, the host or even
the path of a request."""

IDENTITY = (
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-Remote-User",
    "X-Webauth-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
)
"""Who is logged in, as Authelia, oauth2-proxy and others tell it to a service that asks no more."""

OURS = ("x-infergate-backend", "x-infergate-ticket", "x-infergate-until", "x-infergate-hedge")

"""What parts of ours tell each other."""

ANSWERED = (
    "x-infergate-request-id",
    "x-infergate-backend",
    "x-infergate-model",
    "x-infergate-attempts",
    "x-infergate-queue-ms",
    "x-infergate-reached",
)
"""What only we say of an answer."""

STRIPPED = (*HOP_BY_HOP, *FORWARDED, *IDENTITY, *OURS)
