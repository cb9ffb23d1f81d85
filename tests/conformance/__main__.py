"""The command line: `python -m tests.conformance --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.options import Options
from tests.conformance.suite import run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Check an OpenAI-compatible gateway against a backend that misbehaves.",
    )
    parser.add_argument("--url", required=True, help="of the gateway, with /v1")
    parser.add_argument("--key", default="", help="sent as Authorization: Bearer")
    parser.add_argument("--model", default="m", help="what the gateway forwards to the backends")
    parser.add_argument(
        "--backend-port",
        type=int,
        action="append",
        required=True,
        help="where the suite starts its backend; twice for two",
    )
    for name, what in (("first-byte", "silent before its head"), ("idle", "silent in a stream")):
        parser.add_argument(
            f"--{name}-timeout",
            type=float,
            nargs="?",
            const=5,
            metavar="S",
            help=f"when the client must have its error if the backend is {what}; 5 without a "
            "number; not checked if not given",
        )
    parser.add_argument("--streams", type=int, default=2000, help="of the load check")
    parser.add_argument("--ready", type=float, default=30, metavar="S", help="to wait at the start")
    parser.add_argument(
        "--recover", type=float, default=15, metavar="S", help="to wait for a failed backend's use"
    )
    parser.add_argument("--only", default="", help="part of the names of the checks to run")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--report", type=Path, action="append", default=[], help=".json or .md")
    return parser


def main() -> int:
    given = _parser().parse_args()
    options = Options(
        url=given.url,
        key=given.key,
        model=given.model,
        backend_ports=tuple(given.backend_port),
        first_byte_timeout_s=given.first_byte_timeout,
        idle_timeout_s=given.idle_timeout,
        streams=given.streams,
        ready_s=given.ready,
        recover_s=given.recover,
        only=given.only,
        insecure=given.insecure,
    )
    report = run(options, said=lambda result: print(result, flush=True))
    print(report.summary())
    for path in given.report:
        report.write(path)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
