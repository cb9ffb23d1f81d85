"""Which host's certificate and client_ca a TLS handshake is held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.root import Config
from infergate.nginx.render import Surroundings
from infergate.nginx.tls_values import tls_values
from infergate.paths import Home


def values(hosts: list[str], client_ca: dict[str, str], general: str | None = None) -> object:
    config = Config.model_validate(
        {
            "listen": {"https": "127.0.0.1:8443", "hosts": hosts},
            "tls": {
                "self_signed": True,
                "client_ca": general,
                "hosts": {host: {"client_ca": file} for host, file in client_ca.items()},
            },
            "backends": {"a": "http://127.0.0.1:1"},
            "services": {"s": {"url": "http://127.0.0.1:1", "host": "s.test", "auth": "none"}},
        }
    )
    found = tls_values(config, Surroundings("infergate.yaml", Home(Path("/nowhere"))))
    return found["handshakes"], found["any_handshake"]


@pytest.mark.parametrize(
    ("hosts", "client_ca", "expected"),
    [
        (["a.test"], {}, ({}, '""')),
        (["a.test"], {"s.test": "x"}, ({"a.test": "api", "s.test": "service-s"}, '""')),
        (
            ["a.test", "b.test"],
            {"b.test": "x"},
            ({"a.test": "api", "b.test": "host-b.test", "s.test": "service-s"}, '""'),
        ),
        # An address cannot be named in a handshake.
        (["10.0.0.1"], {"10.0.0.1": "x"}, ({"": "api", "s.test": "service-s"}, '""')),
        # Without hosts the API has every name that is nobody else's.
        ([], {"s.test": "x"}, ({"": "api", "s.test": "service-s"}, "api")),
    ],
)
def test_each_name_and_none_is_held_against_the_host_that_nginx_shows_for_it(
    hosts: list[str], client_ca: dict[str, str], expected: object
) -> None:
    assert values(hosts, client_ca) == expected
