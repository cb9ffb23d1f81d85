"""What rendering needs to know of this machine for TLS: the certificates, and what nginx can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from infergate.certificates.sites import sites
from infergate.config.addresses import is_ip
from infergate.config.load import LoadedConfig
from infergate.config.problems import ConfigError
from infergate.config.root import Config
from infergate.engine.choose import Engine
from infergate.engine.facts import dotted
from infergate.errors import EngineError
from infergate.paths import Home

if TYPE_CHECKING:
    from infergate.certificates.served import ServedCertificate

_CURVES = ("X25519", "prime256v1", "secp384r1")
"""Those of Mozilla's guidelines, version 5.7."""

_HYBRID = ("X25519MLKEM768", *_CURVES)
"""With the hybrid that stays secret from quantum computers; OpenSSL has it since 3.5."""


def served(loaded: LoadedConfig, home: Home) -> Mapping[str, ServedCertificate]:
    """The certificate of each TLS site; one is made here where there is none."""
    if not sites(loaded.config):
        return {}
    from infergate.certificates.served import served_certificates  # cryptography takes long to load

    return served_certificates(loaded, home)


def refuse_wrong_files(loaded: LoadedConfig) -> None:
    """Raises ConfigError for a certificate or key that nginx could not start with."""
    if any(site.source == "files" for site in sites(loaded.config)):
        from infergate.certificates.files import wrong_files

        problems = loaded.problems(wrong_files(loaded))
        if problems:
            raise ConfigError(problems)


def responders(certificates: Mapping[str, ServedCertificate]) -> frozenset[str]:
    """The names, not addresses, of the OCSP responders of these certificates."""
    hosts = {each.responder for each in certificates.values() if each.responder is not None}
    return frozenset(host for host in hosts if not is_ip(host))


def stapled(
    certificates: Mapping[str, ServedCertificate], addresses: Mapping[str, tuple[str, ...]]
) -> Mapping[str, ServedCertificate]:
    """Without the OCSP responders that cannot be found: nginx would wait for their names."""
    unknown = responders(certificates) - addresses.keys()
    return {
        name: replace(each, responder=None) if each.responder in unknown else each
        for name, each in certificates.items()
    }


def curves(engine: Engine) -> tuple[str, ...]:
    """What keys are exchanged by, the preferred one first."""
    return _HYBRID if engine.openssl_version >= (3, 5) else _CURVES


def http2(config: Config, engine: Engine) -> bool:
    """Whether listeners speak HTTP/2: as written, and not with known holes unless written."""
    if config.tls is not None and config.tls.http2 is not None:
        return config.tls.http2
    return engine.origin != "embedded"


def refuse_grpc_without_http2(config: Config, engine: Engine) -> None:
    """Raises EngineError where a gRPC service could be asked by nobody."""
    grpc = next((name for name, each in config.services.items() if each.is_grpc), None)
    if grpc is not None and not http2(config, engine):
        raise EngineError(
            "gRPC needs HTTP/2, which is off here",
            where=f"services.{grpc}.url",
            hint="`infergate engine install` fetches Debian's nginx, on which it is on; or write\n"
            "  `tls: { http2: true }`.",
        )


def refuse_what_leaks(config: Config, engine: Engine) -> None:
    """Raises EngineError where a session of one host is good for another that asks for client
    certificates (CVE-2025-23419)."""
    if not any(site.client_ca for site in sites(config)):
        return
    if engine.nginx_version < (1, 26, 3) or (1, 27) <= engine.nginx_version < (1, 27, 4):
        raise EngineError(
            f"nginx {dotted(engine.nginx_version)} lets clients around client_ca (CVE-2025-23419)",
            where="tls.client_ca",
            hint="Use nginx 1.26.3, 1.27.4 or newer: `infergate doctor` shows what there is.",
        )
