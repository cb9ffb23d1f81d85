"""Every mistake is told at its place, in words, and all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.problems import ConfigError

EXAMPLES = Path(__file__).parents[3] / "examples"
MINIMAL = "backends:\n  gpu1: http://127.0.0.1:11434\n"


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Path("infergate.yaml"), environ or {})
    return str(caught.value).splitlines()


def edited(example: str, old: str, new: str) -> str:
    text = (EXAMPLES / example).read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {example}"
    return text.replace(old, new)


# (example, what is replaced, by what, where the problem is, what it says)
BROKEN = [
    ("minimal.yaml", "backends:", "backend:", "2:1", "did you mean 'backends'?"),
    ("minimal.yaml", "http://127", "htp://127", "3:9", "is not a URL"),
    ("minimal.yaml", "http://127.0.0.1:11434", "http://u:p@127.0.0.1", "3:9", "api_key"),
    ("minimal.yaml", "http://127.0.0.1:11434", "http://127.0.0.1:99999", "3:9", "not a URL"),
    (
        "minimal.yaml",
        "http://127.0.0.1:11434",
        "http://127.0.0.1:11434\nendpoints: { /embeddings: {} }",
        "4:27",
        "did you mean '/v1/embeddings'?",
    ),
    ("minimal.yaml", "  gpu1:", "\tgpu1:", "3:1", "tab"),
    ("minimal.yaml", "  gpu1:", "  'gpu 1':", "3:3", "is not a name"),
    ("ollama.yaml", "{ http: 8080 }", "{ http: 80800 }", "2:17", "is not a port"),
    ("ollama.yaml", "{ http: 8080 }", "{ htpp: 8080 }", "2:11", "did you mean 'http'?"),
    ("ollama.yaml", "{ http: 8080 }", "{ http: 8080", "4:9", "not YAML"),
    ("ollama.yaml", "{ http: 8080 }", "{ http: ${PORT} }", "2:18", 'quotes: "${NAME}"'),
    ("ollama.yaml", "weight: 2", "weight: 0", "6:75", "must be at least 1"),
    (
        "ollama.yaml",
        "engine: ollama, weight",
        "engine: olama, weight",
        "6:59",
        "did you mean 'ollama'",
    ),
    ("ollama.yaml", "[gpu1, gpu2]", "[gpu1, gpu3]", "9:27", "no backend 'gpu3' (did you mean"),
    ("ollama.yaml", "balance: least_busy", "balance: busiest", "9:43", "expected one of"),
    (
        "phoenix.yaml",
        "{ email: ops@yourdomain.com }",
        "{ mail: a@b.c }",
        "8:3",
        "needs the setting",
    ),
    ("phoenix.yaml", "hsts: true", "self_signed: true", "8:3", "exactly one of"),
    ("phoenix.yaml", "rate: 10r/s", "rate: ten", "15:19", "is not a rate"),
    ("phoenix.yaml", "max_body: 20MB", "max_body: big", "16:13", "is not a size"),
    ("phoenix.yaml", "10.0.0.0/24", "10.0.0.1/24", "19:11", "host bits"),
    ("phoenix.yaml", "interval: 3s", "interval: 3 fortnights", "30:13", "is not a duration"),
    ("phoenix.yaml", "fall: 3", "fall: many", "33:9", "expected a whole number"),
    (
        "phoenix.yaml",
        "backends: [qwen-a, qwen-b]",
        "backends: [qwen-a, qwen-c]",
        "37:24",
        "'qwen-c'",
    ),
    ("phoenix.yaml", "aliases: [gpt-3.5-turbo]", "aliases: [llama3]", "39:14", "is a model itself"),
    ("phoenix.yaml", "aliases: [gpt-3.5-turbo]", "aliases: [gpt-*]", "39:14", "like a pattern"),
    ("phoenix.yaml", "fallback: [llama3]", "fallback: [llama4]", "40:15", "no model 'llama4'"),
    ("phoenix.yaml", "connect: 2s", "conect: 2s", "41:17", "did you mean 'connect'?"),
    ("phoenix.yaml", "default_model: text", "default_model: test", "48:16", "there is no model"),
    ("phoenix.yaml", "path: /qdrant/", "path: /v1/qdrant/", "51:52", "the gateway's own"),
    ("phoenix.yaml", "path: /qdrant/", "path: /qdrant/, host: a.b", "51:15", "exactly one of"),
    ("phoenix.yaml", "127.0.0.1:9090", "0.0.0.0:443", "57:18", "taken by listen.https"),
    (
        "minimal.yaml",
        "http://127.0.0.1:11434",
        "http://127.0.0.1:11434\nadmin: { listen: 0.0.0.0:9090 }",
        "4:18",
        "tokens would cross the network in clear text",
    ),
    ("phoenix.yaml", "required: true", "required: false", "12:13", "require keys"),
    (
        "phoenix.yaml",
        "host: chat.yourdomain.com",
        "host: n8n.yourdomain.com",
        "53:52",
        "is taken by n8n",
    ),
    (
        "phoenix.yaml",
        "path: /qdrant/ }",
        "path: /qdrant/, cache: { paths: [/ui/] } }\n  ui: { url: "
        "http://10.0.0.152:80, path: /qdrant/ui/ }",
        "51:79",
        "/qdrant/ui/ is taken by ui",
    ),
]


@pytest.mark.parametrize("case", BROKEN, ids=[f"{c[0]}: {c[2]}" for c in BROKEN])
def test_a_mistake_is_told_at_its_place(case: tuple[str, str, str, str, str]) -> None:
    example, old, new, place, message = case
    lines = problems(edited(example, old, new))
    assert any(
        line.startswith(f"infergate.yaml:{place}: ") and message in line for line in lines
    ), "\n".join(lines)


def test_there_are_twenty_and_more_of_them() -> None:
    assert len(BROKEN) >= 20


def test_everything_wrong_is_told_at_once_the_schema_s_and_the_references() -> None:
    lines = problems(
        "backends:\n  a: {url: http://x:1, weigth: 2}\n  b: {ulr: http://x:2}\n"
        "models:\n  q: {backends: [a, c], balance: nope}\nhealth: {rise: 0}\n"
    )
    assert [line.split(": ")[0] for line in lines] == [
        f"infergate.yaml:{place}" for place in ("2:24", "3:3", "3:7", "5:21", "5:34", "6:16")
    ]


def test_a_bad_listener_is_not_also_called_a_missing_one() -> None:
    assert len(problems("listen: { http: 80800 }\n" + MINIMAL)) == 1
    assert len(problems("listen: { https: 443 }\ntls: { self_sign: true }\n" + MINIMAL)) == 1


def test_a_missing_environment_variable_is_told_at_its_place() -> None:
    text = 'backends:\n  a: { url: http://x:1, api_key: "${KEY_OF_A}" }\n'
    assert problems(text) == ["infergate.yaml:2:34: the environment has no variable KEY_OF_A"]


def test_what_the_environment_holds_is_never_shown() -> None:
    text = 'backends:\n  a: { url: "${URL}" }\n'
    said = "\n".join(problems(text, {"URL": "not-a-url-but-a-secret"}))
    assert "secret" not in said
    assert "environment variable" in said


def test_a_secret_that_nginx_cannot_be_told_is_a_mistake_and_stays_secret() -> None:
    text = 'backends:\n  a: { url: http://x:1, api_key: "${KEY}" }\n'
    for secret in ("pa$$word", "two words", "line\nbreak", "ключ"):
        said = problems(text, {"KEY": secret})
        assert len(said) == 1
        assert said[0].startswith("infergate.yaml:2:34: ")
        assert secret not in said[0]


@pytest.mark.parametrize("workers", ["0", "-3", "many", "1.5", "true"])
def test_a_number_of_workers_that_nginx_would_refuse_is_told(workers: str) -> None:
    assert problems(f"workers: {workers}\n" + MINIMAL) == [
        "infergate.yaml:1:10: expected auto, or a whole number from 1 to 1024"
    ]


def test_a_setting_given_twice_is_told() -> None:
    assert "'gpu1' is set twice" in problems(MINIMAL + "  gpu1: http://x:1\n")[0]


def test_every_setting_that_is_there_twice_is_told() -> None:
    text = MINIMAL + "models: { m: [gpu1], m: [gpu1] }\n" + MINIMAL + "limits: {}\nlimits: {}\n"
    told = problems(text)
    assert [each.partition(": ")[2].partition(" is ")[0] for each in told] == [
        "'m'", "'backends'", "'limits'",
    ]  # fmt: skip
    assert all(
        f"(first in line {line})" in each for line, each in zip((3, 1, 6), told, strict=True)
    )


def test_a_setting_in_the_wrong_section_is_told_where_it_belongs() -> None:
    assert problems(MINIMAL + "balance: prefix\n") == [
        "infergate.yaml:3:1: unknown setting 'balance'; it belongs under models.NAME"
    ]
    (told,) = problems("backends: { a: { url: http://x, aliases: [b] } }\n")
    assert "it belongs under models.NAME" in told
    (told,) = problems(MINIMAL + "challenge: dns-01\n")
    assert "it belongs under tls.acme" in told


def test_settings_for_anchors_are_one_s_own() -> None:
    text = (
        "x-common: &common { engine: vllm, weight: 2 }\n"
        "backends:\n  a: { url: http://x:1, <<: *common }\n  b: { url: http://x:2, <<: *common }\n"
    )
    config = parse_config(text, Path("infergate.yaml"), {}).config
    assert {(b.engine, b.weight) for b in config.backends.values()} == {("vllm", 2)}
    # What is wrong in it is told where it is brought in.
    (told, _) = problems(text.replace("weight: 2", "weight: 0"))
    assert told.startswith("infergate.yaml:3:6: must be at least 1")
    assert "unknown setting 'x-y'" in problems("backends: { a: { url: http://x, x-y: 1 } }\n")[0]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "hello\n", "1\n"])
def test_what_is_no_configuration_at_all_gets_an_example(text: str) -> None:
    assert "gpu1: http://127.0.0.1:11434" in "\n".join(problems(text))


def test_aliases_of_aliases_cannot_eat_the_machine() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    assert "100,000 values" in problems(bomb)[0]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8000/v1/chat/completions", "http://h:8000"),
        ("http://h:8000/chat/completions/", "http://h:8000"),
        ("http://h:8000/base/v1/embeddings", "http://h:8000/base"),
        ("http://h:8000/api/chat", "http://h:8000"),
        ("http://h:8000/v1/models", "http://h:8000"),
        ("http://h:8000/health", "http://h:8000"),
    ],
)
def test_a_url_that_goes_as_far_as_an_endpoint_is_told_with_the_one_to_write(
    url: str, base: str
) -> None:
    (told,) = problems(f"backends: {{ a: {url} }}\n")
    assert told.endswith(f"write the base URL, {base}")
    for fine in (base, f"{base}/v1", f"{base}/v1/"):
        parse_config(f"backends: {{ a: {fine} }}\n", Path("infergate.yaml"), {})


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("headers: { Host: x }", "the gateway itself says host"),
        ("headers: { X-Infergate-Model: x }", "the gateway itself says x-infergate-model"),
        ("headers: { Transfer-Encoding: x }", "the gateway itself says transfer-encoding"),
        ("api_key_header: Content-Length", "the gateway itself says content-length"),
        ("headers: { Authorization: x }", "give the key as api_key"),
        ("api_key: x, api_key_header: api-key, headers: { Api-Key: y }", "give the key as api_key"),
        ("headers: { X-A: x, x-a: y }", "differ only in case"),
        ('headers: { X-A: "x\\ny" }', ""),
    ],
)
def test_headers_that_are_not_a_backend_s_own_are_told(settings: str, what: str) -> None:
    (told,) = problems(f"backends: {{ a: {{ url: http://x, {settings} }} }}\n")
    assert what in told


def test_a_secret_header_in_clear_is_told() -> None:
    text = "backends: { a: { url: http://x, headers: { X-Token: abc, X-Team: red } } }\n"
    (told,) = parse_config(text, Path("infergate.yaml"), {}).warnings
    assert "a secret in clear text" in str(told)


@pytest.mark.parametrize(
    ("params", "place", "what"),
    [
        ("set: { model: x }", "4:43", "the gateway goes by it"),
        ("default: { stream: true }", "4:47", "the gateway goes by it"),
        ("strip: [messages]", "4:44", "the gateway goes by it"),
        ("strip: [Seed]", "4:44", "lower case"),
        ("set: { a b: 1 }", "4:43", "is not the name of a parameter"),
        ("set: { seed: }", "4:48", "name it under strip"),
        ("set: { seed: .inf }", "4:49", "nothing that JSON has"),
        ("set: { seed: [[[[[[[[[1]]]]]]]]] }", "4:49", "nested deeper"),
        ("set: { seed: 1 }, strip: [seed]", "4:34", "'seed' is named twice"),
        ("sett: {}", "4:36", "did you mean 'set'?"),
        ("set: { options: { num_ctx: 1 } }", "4:34", "by itself, as num_ctx: 8192"),
        ("default: { options: { num_ctx: 1 } }", "4:34", "by itself, as num_ctx: 8192"),
    ],
)
def test_parameters_that_cannot_be_decided_for_a_client_are_told(
    params: str, place: str, what: str
) -> None:
    model = f"{{ backends: [gpu1], params: {{ {params} }} }}"
    (told,) = problems(f"{MINIMAL}models:\n  m: {model}\n")
    assert told.startswith(f"infergate.yaml:{place}: "), told
    assert what in told


def test_a_name_for_a_backend_that_the_model_does_not_have_is_told() -> None:
    (told,) = problems(
        MINIMAL + "models:\n  m:\n    backends: [gpu1]\n    upstream_names: { gpu2: x }\n"
    )
    assert told.startswith("infergate.yaml:6:29: 'gpu2' is no backend of this model (did you mean")


def test_a_model_that_a_filter_leaves_out_is_told_where_it_is_named() -> None:
    backend = "{ url: http://x, model_filter: { include: ['q*'] } }"
    text = f"backends: {{ a: {backend} }}\nmodels:\n  m: [a]\n"
    assert problems(text) == ["infergate.yaml:3:6: the model_filter of 'a' leaves 'm' out"]
    parse_config(text.replace("m: [a]", "Qwen: [a]"), Path("infergate.yaml"), {})
