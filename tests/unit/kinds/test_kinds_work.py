"""Reading what engines say of their work. The texts in captured/ are from real engines at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergate.kinds import KINDS
from infergate.kinds.llamacpp import read_slots
from infergate.kinds.work import Work

CAPTURED = Path(__file__).parent / "captured"


def read_metrics(kind: str, text: str) -> Work | None:
    """What the first reader of this kind makes of an answer."""
    (read, *_) = KINDS[kind].work.values()
    return read(text)


def test_a_busy_vllm() -> None:
    """vLLM 0.32.0, --max-num-seqs 8, with twelve streams."""
    work = read_metrics("vllm", (CAPTURED / "vllm-0.32.0-busy.txt").read_text())
    assert work is not None
    assert (work.running, work.waiting, work.requests) == (8, 4, 12)
    assert work.kv_cache_use == pytest.approx(0.047, abs=0.0001)
    assert (work.kv_cache_tokens, work.keeps_prefixes) == (65_536, True)
    assert (work.generation_tokens, work.prompt_tokens) == (3941, 190)
    assert work.first_tokens == pytest.approx((0.359327, 10))
    assert work.tokens == pytest.approx((10.106526, 3931))


@pytest.mark.parametrize(
    ("told", "tokens", "keeps"),
    [
        ('num_gpu_blocks="512",block_size="16",enable_prefix_caching="False"', 8192, False),
        ('num_gpu_blocks="None",block_size="16"', None, None),
        ('num_gpu_blocks="-3",block_size="1e9"', None, None),
        ('num_gpu_blocks="999999999999999",block_size="999999999999999"', 2**53, None),
    ],
)
def test_what_a_vllm_says_of_its_cache(told: str, tokens: int | None, keeps: bool | None) -> None:
    text = f"vllm:cache_config_info{{{told}}} 1.0\n"
    work = read_metrics("vllm", text)
    assert work is not None
    assert (work.kv_cache_tokens, work.keeps_prefixes) == (tokens, keeps)


def test_the_caches_of_several_engines_are_one() -> None:
    labels = 'num_gpu_blocks="10",block_size="16",engine='
    text = "".join(f'vllm:cache_config_info{{{labels}"{n}"}} 1.0\n' for n in range(4))
    work = read_metrics("vllm", text)
    assert work is not None
    assert work.kv_cache_tokens == 640


def test_a_busy_llama_cpp() -> None:
    """Its token counter moves only when a request is finished; its count of batches before."""
    text = (CAPTURED / "llamacpp-busy.txt").read_text()
    work = read_metrics("llamacpp", text)
    assert work is not None
    assert (work.running, work.waiting, work.kv_cache_use) == (1, 0, None)
    assert (work.generation_tokens, work.prompt_tokens) == (0, 23)
    later = read_metrics("llamacpp", text.replace("n_decode_total 826", "n_decode_total 827"))
    assert later is not None
    assert later.generation_tokens == work.generation_tokens
    assert later.pulse != work.pulse
    done = text.replace("tokens_predicted_total 0", "tokens_predicted_total 40")
    done = done.replace("predicted_seconds_total 0", "predicted_seconds_total 2.5")
    told = read_metrics("llamacpp", done)
    assert told is not None
    assert (told.first_tokens, told.tokens) == (None, (2.5, 40))


def test_a_sum_that_cannot_be_is_the_largest_that_can() -> None:
    text = "".join(
        f'vllm:{name}{{engine="{engine}"}} 1.7e308\n'
        for name in (
            "generation_tokens_total",
            "time_to_first_token_seconds_sum",
            "time_to_first_token_seconds_count",
        )
        for engine in (0, 1)
    )
    work = read_metrics("vllm", text)
    assert work is not None
    assert work.generation_tokens == 2**53
    assert work.first_tokens == (2.0**53, 2**53)


def test_llama_cpp_without_metrics_tells_by_its_slots() -> None:
    slots = json.loads((CAPTURED / "llamacpp-slots.json").read_text())
    work = read_slots(json.dumps(slots))
    assert work is not None
    assert (work.running, work.waiting) == (1, None)
    slots[1]["next_token"][0]["n_decoded"] += 1
    moved = read_slots(json.dumps(slots))
    assert moved is not None
    assert moved.pulse != work.pulse
    slots[1]["is_processing"] = False
    assert read_slots(json.dumps(slots)) == Work(running=0, kv_cache_tokens=4_096)


def test_odd_contexts_of_slots_are_not_known() -> None:
    odd = [{"n_ctx": each} for each in (True, -1, "4096", 2**60, None)]
    assert read_slots(json.dumps(odd)) == Work(running=0)
    assert read_slots(json.dumps([*odd, {"n_ctx": 4096}, {"n_ctx": 4096}])) == Work(
        running=0, kv_cache_tokens=8192
    )


def test_what_an_sglang_says_of_its_cache() -> None:
    """A gauge for each rank of data parallelism, each with a cache of its own."""
    gauge = 'sglang:max_total_num_tokens{dp_rank="'
    work = read_metrics("sglang", f'{gauge}0"}} 471258.0\n{gauge}1"}} 471258.0\n')
    assert work is not None
    assert work.kv_cache_tokens == 942_516
    none = read_metrics("sglang", f'{gauge}0"}} 0\nsglang:num_running_reqs 1\n')
    assert none is not None
    assert none.kv_cache_tokens is None


def test_the_engines_of_one_vllm_are_added_up_and_their_kv_caches_averaged() -> None:
    work = read_metrics(
        "vllm",
        'vllm:num_requests_running{engine="0"} 3.0\n'
        'vllm:num_requests_running{engine="1"} 2.0\n'
        'vllm:gpu_cache_usage_perc{engine="0"} 0.9\n'
        'vllm:gpu_cache_usage_perc{engine="1"} 0.5\n',
    )
    assert work is not None
    assert (work.running, work.kv_cache_use) == (5, 0.7)


def test_a_long_prompt_read_in_pieces_moves_though_no_token_counter_does() -> None:
    def work(use: float) -> Work | None:
        return read_metrics(
            "vllm",
            f"vllm:kv_cache_usage_perc {use}\n"
            "vllm:prompt_tokens_total 5\nvllm:generation_tokens_total 5\n",
        )

    before, after = work(0.25), work(0.2500001)
    assert before is not None
    assert after is not None
    assert before.pulse != after.pulse


def test_sglang_as_its_documentation_shows_it() -> None:
    work = read_metrics(
        "sglang",
        "# HELP sglang:num_running_reqs The number of running requests\n"
        "# TYPE sglang:num_running_reqs gauge\n"
        'sglang:num_running_reqs{model_name="m"} 161.0\n'
        'sglang:num_queue_reqs{model_name="m"} 2826.0\n'
        'sglang:token_usage{model_name="m"} 0.28\n'
        'sglang:gen_throughput{model_name="m"} 86.5\n'
        'sglang:prompt_tokens_total{model_name="m"} 8.128902e+06\n'
        'sglang:generation_tokens_total{model_name="m"} 7.557572e+06\n',
    )
    assert work is not None
    assert (work.running, work.waiting, work.kv_cache_use) == (161, 2826, 0.28)
    assert (work.prompt_tokens, work.generation_tokens) == (8128902, 7557572)
    assert 86.5 in work.pulse


def test_tei_tells_its_queue_and_what_it_finished() -> None:
    text = 'te_queue_size 7\nte_embed_success 3\nte_request_success{method="batch"} 2\n'
    work = read_metrics("tei", text)
    assert work is not None
    assert (work.running, work.waiting, work.pulse) == (None, 7, (2.0, 3.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        '{"error": "no"}',
        "vllm:num_requests_running",
        'vllm:num_requests_running{a="',
        'vllm:num_requests_running{"} 1',
        "vllm:num_requests_running many",
        "vllm:num_requests_running NaN",
        "vllm:num_requests_running 1e999",
        "python_info 1.0",
    ],
)
def test_garbage_tells_nothing(text: str) -> None:
    assert read_metrics("vllm", text) is None


@pytest.mark.parametrize("body", [None, {}, "x", [1], [None], {"error": {"code": 501}}])
def test_slots_that_are_none_tell_nothing(body: object) -> None:
    assert read_slots(json.dumps(body)) is None


def test_tgi_as_its_documentation_names_it() -> None:
    """https://huggingface.co/docs/text-generation-inference/reference/metrics"""
    work = read_metrics(
        "tgi",
        "tgi_batch_current_size 4\ntgi_queue_size 3\n"
        'tgi_batch_inference_count{method="prefill"} 5\n'
        'tgi_batch_inference_count{method="decode"} 100\n'
        "tgi_request_generated_tokens_sum 500\ntgi_request_input_length_sum 90\n",
    )
    assert work is not None
    assert (work.running, work.waiting) == (4, 3)
    assert (work.generation_tokens, work.prompt_tokens) == (500, 90)
    assert 105.0 in work.pulse


def test_lmdeploy_as_its_logger_writes_it() -> None:
    """lmdeploy/metrics/loggers.py"""
    work = read_metrics(
        "lmdeploy",
        'lmdeploy:num_requests_running{engine="0",model_name="m"} 2.0\n'
        'lmdeploy:num_requests_waiting{engine="0",model_name="m"} 1.0\n'
        'lmdeploy:gpu_cache_usage_perc{engine="0",model_name="m"} 0.5\n'
        'lmdeploy:generation_tokens_total{engine="0",model_name="m"} 7.0\n'
        'lmdeploy:time_to_first_token_seconds_sum{engine="0",model_name="m"} 1.5\n'
        'lmdeploy:time_to_first_token_seconds_count{engine="0",model_name="m"} 3.0\n',
    )
    assert work is not None
    assert (work.running, work.waiting, work.kv_cache_use) == (2, 1, 0.5)
    assert work.first_tokens == (1.5, 3)


@pytest.mark.parametrize(
    "text",
    [
        'vllm:num_requests_running{engine="0"} 2\nvllm:kv_cache_usage_perc{engine="0"} 0.25\n',
        'num_requests_running{model_name="m"} 2\ngpu_cache_usage_perc{model_name="m"} 0.25\n',
    ],
)
def test_nim_of_both_generations(text: str) -> None:
    work = read_metrics("nim", text)
    assert work is not None
    assert (work.running, work.kv_cache_use) == (2, 0.25)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("trtllm", "trtllm_num_requests_running 2\ntrtllm_kv_cache_utilization 0.1\n"),
        ("triton", 'nv_inference_pending_request_count{model="m",version="1"} 2\n'),
        ("production-stack", 'vllm:num_requests_running{server="http://a:8000"} 2\n'),
    ],
)
def test_what_moves_with_requests_alone_has_no_pulse(kind: str, text: str) -> None:
    """With one, a long answer would look like an engine that hangs."""
    work = read_metrics(kind, text)
    assert work is not None
    assert (work.requests, work.pulse) == (2, ())


def test_kinds_with_metrics_have_a_reader() -> None:
    known = {
        *("llamacpp", "lmdeploy", "nim", "production-stack", "sglang", "tei"),
        *("tgi", "triton", "trtllm", "vllm"),
    }
    assert [name for name in known if not KINDS[name].work] == []
