"""TLS: where certificates come from, what clients must offer, what browsers are told."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from infergate.config.addresses import Host
from infergate.config.base import Section
from infergate.config.types import FilePath, Name, PlainText, Seconds, Secret

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
"""For trials: certificates nobody trusts, and limits that a trial does not reach."""

TWO_YEARS_S = 63_072_000.0
"""Mozilla's guidelines 5.7, and what the preload list of browsers wants at least half of."""


class TlsFiles(Section):
    """A certificate that somebody else keeps current; it is taken over when the files change."""

    certificate: FilePath = Field(description="PEM file with the certificate and its chain.")
    key: FilePath = Field(description="PEM file with the private key.")


class Eab(Section):
    """An account that was made at the authority's web site before (RFC 8555, 7.3.4)."""

    kid: PlainText = Field(description="Its key id.")
    hmac_key: Secret = Field(description="Its HMAC key, base64url; write it as ${NAME}.")


class Acme(Section):
    """Certificates from an ACME authority such as Let's Encrypt."""

    email: PlainText = Field(description="Where the authority writes to.")
    directory: PlainText = Field(LETS_ENCRYPT, description="The authority's directory URL.")
    staging: bool = Field(False, description="Let's Encrypt's staging, for trials.")
    ca: FilePath | None = Field(
        None, description="PEM file of the CA that a private authority's own certificate is from."
    )
    challenge: Literal["http-01", "dns-01"] = Field(
        "http-01", description="http-01: through port 80; dns-01: through dns_hook, wildcards too."
    )
    dns_hook: FilePath | None = Field(
        None, description="Program run as `HOOK present|cleanup NAME VALUE` for the TXT record."
    )
    dns_wait: Seconds = Field(
        30, ge=0, le=3600, description="How long a new record needs to be seen everywhere."
    )
    eab: Eab | None = Field(None, description="External account, for ZeroSSL, Google and others.")
    key_type: Literal["ecdsa", "rsa"] = Field("ecdsa", description="P-256, or RSA with 2048 bits.")
    profile: Name | None = Field(
        None, description="The authority's certificate profile, such as shortlived."
    )

    @property
    def asked(self) -> str:
        """The directory that is asked, staging considered."""
        return LETS_ENCRYPT_STAGING if self.staging else self.directory

    @field_validator("directory")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError(f"{value!r} is not the https:// URL of a directory")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Acme:
        if self.staging and self.directory != LETS_ENCRYPT:
            raise ValueError("staging is Let's Encrypt's; for another authority give its directory")
        if (self.challenge == "dns-01") != (self.dns_hook is not None):
            raise ValueError("challenge: dns-01 and dns_hook need each other")
        return self


class Hsts(Section):
    """Strict-Transport-Security. true is the short form of {}, two years for this host alone."""

    max_age: Seconds = Field(TWO_YEARS_S, ge=0, description="How long; 0 takes it back.")
    include_subdomains: bool = Field(False, description="For all names below the host, too.")
    preload: bool = Field(False, description="Agree to the browsers' own list.")

    @model_validator(mode="after")
    def _preloadable(self) -> Hsts:
        if self.preload and not (self.include_subdomains and self.max_age >= TWO_YEARS_S / 2):
            raise ValueError("preload needs include_subdomains and a max_age of a year (365d)")
        return self

    @property
    def header(self) -> str:
        """The header's value (RFC 6797)."""
        more = "; includeSubDomains" * self.include_subdomains + "; preload" * self.preload
        return f"max-age={self.max_age:.0f}{more}"


class TlsHost(Section):
    """What is different at one host name; what it does not say is as in tls."""

    files: TlsFiles | None = Field(None, description="Its certificate, from files.")
    self_signed: bool = Field(False, description="Its certificate is made here.")
    client_ca: FilePath | None = Field(
        None, description="Clients need a certificate of this CA (mutual TLS)."
    )

    @model_validator(mode="after")
    def _one_source(self) -> TlsHost:
        if self.files is not None and self.self_signed:
            raise ValueError("give files or self_signed, not both")
        return self


class Tls(Section):
    """Where the certificate comes from: exactly one of acme, files and self_signed."""

    acme: Acme | None = Field(None, description="From an ACME authority.")
    files: TlsFiles | None = Field(None, description="From files.")
    self_signed: bool = Field(False, description="Made here; for a LAN or a first try.")
    profile: Literal["intermediate", "modern"] = Field(
        "intermediate", description="Mozilla's profile; modern is TLS 1.3 alone."
    )
    http2: bool | None = Field(
        None, description="HTTP/2 at https listeners; on if not said, off on the embedded engine."
    )
    hsts: Hsts | None = Field(None, description="Tell browsers to use https only from now on.")
    client_ca: FilePath | None = Field(
        None, description="Clients need a certificate of this CA (mutual TLS), at every host."
    )
    hosts: dict[Host, TlsHost] = Field({}, description="What is different at single host names.")

    @field_validator("hsts", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_source(self) -> Tls:
        if sum((self.acme is not None, self.files is not None, self.self_signed)) != 1:
            raise ValueError("give exactly one of acme, files and self_signed")
        return self
