"""`python -m infergate.demo --port N`: the demo backend, on the loopback address only."""

from __future__ import annotations

import argparse

import uvicorn

from infergate.demo.app import create_app


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = argparse.ArgumentParser(prog="python -m infergate.demo", description=__doc__)
    arguments.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    arguments.add_argument(
        "--word-delay-ms",
        type=float,
        default=20.0,
        help="pause before each streamed word, so that streaming can be seen (default: 20)",
    )
    chosen = arguments.parse_args()
    uvicorn.run(
        create_app(word_delay_s=chosen.word_delay_ms / 1000),
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
