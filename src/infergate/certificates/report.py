"""What the control plane last said of the certificates, for readers that do not inspect the files
themselves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infergate.certificates.sites import Source
from infergate.files import write_atomically
from infergate.state_file import read_state


@dataclass(frozen=True)
class Row:
    """One site's certificate.

    not_after, renew_at, next_try: Unix seconds; None where there is no such time.
    stands_in: a self-signed one is served until the authority has issued one.
    problem: what is wrong, if something is; hint: what to do.
    """

    site: str
    hosts: tuple[str, ...]
    source: Source
    issuer: str
    sha256: str
    not_after: float | None
    renew_at: float | None
    next_try: float | None
    stands_in: bool
    problem: str
    hint: str


def write_report(path: Path, rows: Sequence[Row]) -> None:
    """Leave it for `infergate status`. Raises StateError if the disk refuses."""
    write_atomically(path, json.dumps([dataclasses.asdict(row) for row in rows]))


def read_report(path: Path) -> tuple[Row, ...]:
    """What was left there; nothing before the first look."""
    return read_state(path, _rows) or ()


def _rows(said: Iterable[dict[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(**{**row, "hosts": tuple(row["hosts"])}) for row in said)
