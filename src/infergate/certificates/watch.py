"""One look at all certificates: what is due is fetched."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

from infergate.certificates.record import certificate_path, read_record, write_record
from infergate.certificates.renewal import may_try, renew_at, why_due
from infergate.certificates.served import facts_at
from infergate.certificates.sites import Site, sites
from infergate.config.load import LoadedConfig
from infergate.config.tls import Acme
from infergate.errors import NotIssued
from infergate.files import locked
from infergate.log import log
from infergate.paths import Home

_ASK_AGAIN_S = 3600.0


def due_sites(loaded: LoadedConfig, home: Home, now: float) -> Iterator[tuple[Site, str]]:
    """The sites whose certificate an authority has to issue now, and why."""
    acme = _acme(loaded)
    for site in sites(loaded.config):
        if acme is not None and site.source == "acme":
            facts = facts_at(certificate_path(site, home))
            why = why_due(site, acme, facts, read_record(site, home), now)
            if why is not None:
                yield site, why


def fetch_due(loaded: LoadedConfig, home: Home) -> None:
    """Ask the authority for what is due and may be tried; failures are logged and remembered."""
    acme, now = _acme(loaded), time.time()
    for site, why in due_sites(loaded, home, now):
        if acme is None or not may_try(site, acme, read_record(site, home), now):
            continue
        from infergate.certificates.issue import issue  # the ACME library takes long to load

        log.info("a certificate is asked for", hosts=site.names, why=why)
        try:
            facts = issue(site, acme, loaded.path.parent, home, only_due=True)
        except NotIssued as problem:
            again = read_record(site, home).next_try - time.time()
            log.error("no certificate was issued", why=str(problem), again_in_s=round(again))
        else:
            days = (facts.not_after - time.time()) / 86400
            log.info("a certificate was issued", hosts=site.names, days=round(days, 1))


def ask_when_to_renew(loaded: LoadedConfig, home: Home) -> None:
    """Ask the authority when it wants its certificates renewed (ARI), as often as it likes."""
    acme, now = _acme(loaded), time.time()
    for site in sites(loaded.config):
        if acme is None or site.source != "acme":
            continue
        record = read_record(site, home)
        if now < record.ask_at or record.directory != acme.asked:
            continue
        from infergate.certificates.issue import suggestion

        try:
            pem = certificate_path(site, home).read_bytes()
            at, again = suggestion(acme, loaded.path.parent, pem, now)
        except (NotIssued, OSError):  # the lifetime decides, or what it said before
            at, again = record.renew_at, now + _ASK_AGAIN_S
        with locked(home.acme / "lock"):
            record = read_record(site, home)
            write_record(site, home, dataclasses.replace(record, renew_at=at, ask_at=again))


def next_look(loaded: LoadedConfig, home: Home, now: float) -> float:
    """When something may be due next, in Unix seconds."""
    acme = _acme(loaded)
    times = [now + 3600]
    for site in sites(loaded.config):
        if site.source == "acme" and acme is not None:
            facts, record = facts_at(certificate_path(site, home)), read_record(site, home)
            if why_due(site, acme, facts, record, now) is None and facts is not None:
                times += [renew_at(facts, record), record.ask_at]
            else:
                times.append(record.next_try)
    return min(times)


def _acme(loaded: LoadedConfig) -> Acme | None:
    return loaded.config.tls.acme if loaded.config.tls else None
