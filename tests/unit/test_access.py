"""Who may come in: what of the general rules holds for a service, and what cannot be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.load import LoadedConfig, parse_config
from infergate.config.problems import ConfigError
from infergate.config.types import is_password_hash
from infergate.nginx.access import PAGE_BURST, guard_of_service

FORWARD = "auth: forward, forward: { url: http://y:1 }"


def parsed(text: str) -> LoadedConfig:
    return parse_config(f"backends: {{ a: http://x:1 }}\n{text}", Path("infergate.yaml"), {})


def test_what_is_denied_adds_up_and_what_is_allowed_stands_in_place_of_the_general() -> None:
    config = parsed(
        "access: { allow: [10.0.0.0/8], deny: [10.0.0.1], methods: [GET, POST] }\n"
        "limits: { per_ip: { rate: 10r/s, connections: 5 } }\n"
        "services:\n"
        "  host: { url: http://y:1, host: h, access: { allow: [0.0.0.0/0], deny: [10.0.0.2] } }\n"
        "  plain: { url: http://y:1, host: p }\n"
        "  path: { url: http://y:1, path: /p/, access: { deny: [10.0.0.2] } }\n"
        "  own: { url: http://y:1, host: o, per_ip: { rate: 1r/s, burst: 0 } }\n"
    ).config
    host, plain, path, own = (
        guard_of_service(config, service, number)
        for number, service in enumerate(config.services.values())
    )
    assert host.rules.allow == ["0.0.0.0/0"]
    assert host.rules.deny == ["10.0.0.1/32", "10.0.0.2/32"]
    assert host.rules.methods == ["GET", "POST"]
    assert plain.rules_suffix == "", "nothing of its own: the API's variables serve"
    assert (path.rules.allow, path.rules.deny) == ([], ["10.0.0.2/32"])
    assert (path.per_ip, path.limits_suffix) == (config.limits.per_ip, "")
    assert plain.per_ip is not None
    assert (plain.per_ip.rate, plain.per_ip.burst) == ("10r/s", PAGE_BURST)
    assert own.per_ip is not None
    assert (own.per_ip.rate, own.per_ip.burst) == ("1r/s", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: { s: { url: http://y:1, host: h, auth: basic } }", "needs users"),
        ("services: { s: { url: http://y:1, host: h, users_file: x } }", "no other auth has them"),
        ("services: { s: { url: http://y:1, host: h, auth: forward } }", "needs forward"),
        (
            "services: { s: { url: http://y:1, path: /p/, auth: forward, "
            "forward: { url: http://y:1, path: /oauth2/ } } }",
            "needs a host",
        ),
        ("services: { s: { url: http://y:1, host: h, access: { methods: [BREW] } } }", "not one"),
        ("limits: { per_ip: { burst: 3 } }", "rate, connections"),
        ("listen: { http: 80, proxy_protocol: true }", "access.trusted_proxies"),
        ("errors: { page: missing.html }", "there is no file missing.html"),
        (
            f"auth: {{ keys: {{ k: {{ hash: 'sha256:{'0' * 64}', services: [qdrnt] }} }} }}\n"
            "services: { qdrant: { url: http://y:1, path: /q/ } }",
            "did you mean 'qdrant'",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(text)


def test_a_password_in_clear_is_refused_and_not_quoted() -> None:
    with pytest.raises(ConfigError) as refused:
        parsed("services: { s: { url: http://y:1, host: h, auth: basic, users: { a: hunter2 } } }")
    assert "hashed" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("$2b$04$d.rSttck28sxDt107iFtZeLx8PA2/BPODj1FOr1O0hX4XVEyFrlNW", True),
        ("$2b$14$d.rSttck28sxDt107iFtZeLx8PA2/BPODj1FOr1O0hX4XVEyFrlNW", False),
        ("$6$abc$" + "a" * 86, True),
        ("$6$rounds=999999$abc$" + "a" * 86, False),
        ("$5$abc$" + "a" * 43, True),
        ("$apr1$abc$" + "a" * 22, True),
        ("$apr1$" + "a" * 9 + "$" + "a" * 22, False),
        ("$apr1$abc$" + "a" * 21, False),
        ("$1$abc$" + "a" * 22, False),
        ("{SHA}" + "a" * 27, False),
        ("{PLAIN}hunter2", False),
        ("", False),
    ],
)
def test_only_hashes_that_both_engines_check(text: str, good: bool) -> None:
    assert is_password_hash(text) is good


@pytest.mark.parametrize(
    "login", ["javascript:x", "//evil", "https://a.b/?rd=$host", "https://a b/", '/x";', "/a;b"]
)
def test_a_login_url_cannot_bring_in_nginx_syntax(login: str) -> None:
    with pytest.raises(ConfigError):
        parsed(
            "services: { s: { url: http://y:1, host: h, auth: forward, forward: "
            f"{{ url: http://y:1, login: '{login}' }} }} }}"
        )


def test_a_hash_that_is_quick_to_guess_is_taken_with_a_warning(tmp_path: Path) -> None:
    weak = "$apr1$abc$" + "a" * 22
    (tmp_path / "htpasswd").write_text(f"# people\nbob:{weak}\neve:$5$abc${'a' * 43}\n")
    text = (
        "backends: { a: http://x:1 }\nservices:\n  s:\n"
        "    { url: http://y:1, host: h, auth: basic,\n"
        f"      users: {{ ann: {weak} }}, users_file: htpasswd }}\n"
    )
    told = [str(each) for each in parse_config(text, tmp_path / "infergate.yaml", {}).warnings]
    assert [each.partition(": apr1")[0] for each in told] == [
        f"infergate.yaml:5:{len('      users: { ann: ') + 1}",
        f"infergate.yaml:5:{len(f'      users: {{ ann: {weak} }}, users_file: ') + 1}: bob",
    ]
    assert all("openssl passwd -6" in each and weak not in each for each in told)


def test_a_certificate_for_an_address_and_a_slow_hash_draw_a_warning() -> None:
    warnings = parsed(
        "services:\n"
        "  s: { url: https://10.0.0.1, host: h, auth: basic, users: { a: "
        "$2b$12$d.rSttck28sxDt107iFtZeLx8PA2/BPODj1FOr1O0hX4XVEyFrlNW } }\n"
    ).warnings
    assert any("never with addresses" in str(each) for each in warnings)
    assert any("openssl passwd -6" in str(each) for each in warnings)
