"""What `nginx -V` and file names say about an engine, and the sentences about what is missing."""

from pathlib import Path

import pytest

from infergate.engine.ask import why_it_failed
from infergate.engine.facts import (
    loadable_modules,
    module_of,
    parse_build,
    parse_version,
    version_problems,
)

DEBIAN_13 = """\
nginx version: nginx/1.26.3
built with OpenSSL 3.5.7 9 Jun 2026
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 -Wformat' --prefix=/usr/share/nginx \
--modules-path=/usr/lib/nginx/modules --with-compat --with-http_ssl_module \
--with-http_stub_status_module --with-http_v2_module --with-http_v3_module --with-threads \
--with-stream_ssl_module --with-http_perl_module=dynamic --with-stream=dynamic
"""
EMBEDDED = """\
nginx version: nginx/1.31.3
configure arguments: --prefix=. --with-http_ssl_module --with-http_v2_module --with-stream \
--add-module=njs-0.9.9/nginx --add-module=headers-more-nginx-module-0.40
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.26.3", (1, 26, 3)), ("0.8.9-dev", (0, 8, 9)), ("1.27.1.1", (1, 27, 1, 1)), ("?", ())],
)
def test_a_version_is_read_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_built_in_modules_are_told_from_those_that_must_be_loaded() -> None:
    build = parse_build(DEBIAN_13)
    assert build.version == (1, 26, 3)
    assert build.modules == {"http_ssl", "stub_status", "http_v2", "http_v3", "stream_ssl"}
    assert build.modules_path == Path("/usr/lib/nginx/modules")


def test_modules_compiled_in_from_elsewhere_are_recognised() -> None:
    build = parse_build(EMBEDDED)
    assert {"js", "headers_more", "http_ssl", "http_v2", "stream"} == build.modules
    assert build.modules_path is None


def test_without_a_modules_path_the_folder_below_the_prefix_is_searched() -> None:
    build = parse_build("nginx version: nginx/1.28.0\nconfigure arguments: --prefix=/opt/nginx\n")
    assert build.modules_path == Path("/opt/nginx/modules")


def test_a_fork_of_nginx_is_read_too() -> None:
    assert parse_build("nginx version: openresty/1.27.1.1\n").version == (1, 27, 1, 1)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ngx_http_js_module.so", "js"),
        ("ngx_stream_js_module.so", "stream_js"),
        ("njs-0.9.9", "js"),
        ("ngx_brotli", "brotli"),
        ("ngx_http_brotli_static_module.so", "brotli"),
        ("ngx_http_modsecurity_module.so", "modsecurity"),
        ("ModSecurity-nginx", "modsecurity"),
        ("ngx_http_geoip2_module.so", "geoip2"),
        ("ngx_stream_geoip2_module.so", "stream_geoip2"),
        ("ngx_http_image_filter_module.so", "http_image_filter"),
        ("http_v3_module", "http_v3"),
    ],
)
def test_a_module_has_one_name_however_it_is_spelt(name: str, module: str) -> None:
    assert module_of(name) == module


def test_a_module_of_two_files_loads_both_and_the_first_folder_wins() -> None:
    names = ("ngx_http_brotli_static_module.so", "ngx_http_brotli_filter_module.so", "README")
    files = [Path("/own", name) for name in names]
    files.append(Path("/other/ngx_http_brotli_filter_module.so"))
    assert loadable_modules(files) == {
        "brotli": (
            "/own/ngx_http_brotli_filter_module.so",
            "/own/ngx_http_brotli_static_module.so",
        )
    }


def test_debian_12_is_refused_for_both_its_versions() -> None:
    assert version_problems((1, 22, 1), (0, 7, 9)) == [
        "nginx 1.22.1 is older than 1.26",
        "njs 0.7.9 is older than 0.8.9",
    ]


@pytest.mark.parametrize("njs", [(0, 8, 9), (0, 8, 10), (0, 9), None])
def test_new_enough_versions_have_no_problem(njs: tuple[int, ...] | None) -> None:
    assert version_problems((1, 26), njs) == []


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            'nginx: [emerg] unknown directive "js_periodic" in /x:1',
            "its njs is too old: it does not know js_periodic",
        ),
        (
            'nginx: [emerg] module "/m/ngx_http_js_module.so" is not binary compatible in /x:1\n',
            'its njs could not be tried: module "/m/ngx_http_js_module.so" is not binary'
            " compatible in /x:1",
        ),
        ("Segmentation fault\n", "its njs could not be tried: Segmentation fault"),
        ("", "its njs did not answer within 5 s"),
    ],
)
def test_an_njs_that_does_not_answer_is_explained(said: str, sentence: str) -> None:
    assert why_it_failed(said) == sentence


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("built with OpenSSL 3.5.7 9 Jun 2026", (3, 5, 7)),
        (
            "built with OpenSSL 3.5.1 1 Jul 2025 (running with OpenSSL 3.0.19 27 Jan 2026)",
            (3, 0, 19),
        ),
        ("built with LibreSSL 4.0.0", ()),
    ],
)
def test_what_nginx_encrypts_with_is_the_library_that_it_runs_with(
    said: str, version: tuple[int, ...]
) -> None:
    build = parse_build(f"nginx version: nginx/1.26.3\n{said}\nconfigure arguments: --prefix=/x\n")
    assert build.openssl_version == version
