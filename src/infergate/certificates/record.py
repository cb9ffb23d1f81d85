"""What we remember of a certificate from an authority, beside the certificate itself."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from infergate.certificates.sites import Site, file_name
from infergate.files import write_atomically
from infergate.paths import Home
from infergate.state_file import read_state


@dataclass(frozen=True)
class Record:
    """One certificate's history. Times are Unix seconds; 0 is never.

    directory: the authority that issued the one on disk. wanted: the names and the directory that
        the last attempt was for: when they change, earlier failures do not count.
    failures: attempts in a row that failed; problem, hint: of the last. next_try: not before.
    renew_at: when the authority wants it renewed (ARI, RFC 9773), if it says so. ask_at: when it is
        asked again.
    """

    directory: str = ""
    wanted: str = ""
    failures: int = 0
    problem: str = ""
    hint: str = ""
    next_try: float = 0.0
    renew_at: float = 0.0
    ask_at: float = 0.0


def certificate_path(site: Site, home: Home) -> Path:
    """Where a site's certificate from an authority is: chain and key in one file, so that both
    change in one step."""
    return home.acme / f"{file_name(site.names[0])}.pem"


def read_record(site: Site, home: Home) -> Record:
    """The record; an empty one if there is none that can be read."""
    return read_state(_path(site, home), lambda said: Record(**said)) or Record()


def write_record(site: Site, home: Home, record: Record) -> None:
    """Replace the record. Raises StateError if the disk refuses."""
    home.acme.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(_path(site, home), json.dumps(dataclasses.asdict(record)))


def _path(site: Site, home: Home) -> Path:
    return certificate_path(site, home).with_suffix(".json")
