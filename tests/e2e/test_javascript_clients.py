"""npm's `openai` and Vercel's AI SDK, unmodified."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.backends.servers import available, scripted
from tests.cache import CACHE
from tests.gateway import gateway

PROGRAM = Path(__file__).parent / "clients.mjs"


def test_programs_in_javascript_answer_stream_count_and_know_a_refusal(
    engine: str, tmp_path: Path
) -> None:
    if reason := available("javascript"):
        pytest.skip(reason)
    folder = CACHE / "javascript"
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    shutil.copy(PROGRAM, tmp_path)
    with scripted() as backend, gateway(engine, f"backends: {{ a: {backend.url} }}\n") as it:
        command = [str(folder / "bin" / "node"), PROGRAM.name, f"{it.url}/v1", it.key]
        ran = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["models"] == ["m"]
    assert told["answer"]
    assert told["ai_answer"] == told["answer"]
    assert told["stream"] > 1
    assert told["usage"]["completion_tokens"] > 0
    assert told["ai_stream"]
    assert told["ai_usage"] == told["usage"]["completion_tokens"]
    assert told["refused"] == ["AuthenticationError", 401, "invalid_api_key"]
