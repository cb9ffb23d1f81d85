"""Certificates for people: `cert list`, and what `status` and `doctor` say of them."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infergate.cli.ledger import ago
from infergate.cli.rows import print_rows

if TYPE_CHECKING:
    from infergate.certificates.report import Row


def print_certificates(rows: Sequence[Row], ca_sha256: str | None) -> None:
    """A row for each certificate, then what is wrong and where our CA is."""
    now = time.time()
    head = ("HOSTS", "FROM", "ENDS IN", "RENEWED IN")
    table = [
        (
            _hosts(row.hosts),
            "self-signed" if row.stands_in else _from(row),
            _left(row.not_after, now),
            _left(row.renew_at, now) if row.source != "self-signed" else "by itself",
        )
        for row in rows
    ]
    print_rows(head, table)
    for row in rows:
        if row.problem:
            print("\n" + _filled(f"{_hosts(row.hosts)}: {row.problem}", ""))
            if row.hint:
                print(_filled(row.hint, "  "))
            if row.next_try:
                print(f"  It is tried again in {ago(row.next_try - now)}.")
    if ca_sha256 is not None and any(row.source == "self-signed" for row in rows):
        print("\nCA to trust: /ca.crt of the gateway, or `infergate cert ca`")
        print(f"  SHA-256 {_fingerprint(ca_sha256)}")


def _filled(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        78,
        initial_indent=indent,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def certificates_in_words(rows: Sequence[Mapping[str, Any]], now: float) -> Iterator[str]:
    """A sentence for each certificate that needs somebody, for `infergate status`."""
    for row in rows:
        if row["problem"]:
            yield f"TLS {_hosts(row['hosts'])}: {row['problem']}"
        elif row["not_after"] is not None and row["not_after"] <= now:
            yield f"TLS {_hosts(row['hosts'])}: the certificate has expired"


def soonest_in_words(rows: Sequence[Mapping[str, Any]], now: float) -> str | None:
    """How many certificates there are, and when the first ends."""
    ends = [row["not_after"] for row in rows if row["not_after"] is not None]
    if not ends:
        return None
    many = "1 certificate" if len(ends) == 1 else f"{len(ends)} certificates, the first"
    first = min(ends)
    return f"TLS: {many} ends in {ago(first - now)}" if first > now else f"TLS: {many} has ended"


def _hosts(hosts: Sequence[str]) -> str:
    if not hosts:
        return "any host"
    return hosts[0] if len(hosts) == 1 else f"{hosts[0]} and {len(hosts) - 1} more"


def _from(row: Row) -> str:
    return {"acme": row.issuer, "files": "files", "self-signed": "self-signed"}[row.source][:20]


def _left(moment: float | None, now: float) -> str:
    if moment is None:
        return "-"
    return ago(moment - now) if moment > now else "now"


def _fingerprint(sha256: str) -> str:
    digest = sha256.upper()
    pairs = [digest[at : at + 2] for at in range(0, len(digest), 2)]
    return ":".join(pairs[:16]) + ":\n          " + ":".join(pairs[16:])
