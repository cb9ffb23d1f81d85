"""Our account at an ACME authority, and a client that uses it. certbot's `acme` library speaks.

One account for each directory; its key never leaves the state folder.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from acme import errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from infergate.config.tls import Acme
from infergate.files import write_atomically
from infergate.paths import Home
from infergate.state_file import read_state

_TIMEOUT_S = 30


def stranger(acme: Acme, folder: Path) -> ClientV2:
    """A client without an account, for what anybody may ask. folder: of the configuration."""
    return _client(acme, folder, None)


def member(acme: Acme, folder: Path, home: Home) -> ClientV2:
    """A client with our account there; it is made if there is none yet.

    Raises what the library raises; `trouble.in_words` puts it into words.
    """
    path = _path(acme, home)
    known = _read(path)
    if known is None:
        new = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        client = _client(acme, folder, new)
        _register(client, acme, new)
    else:
        client = _client(acme, folder, cast(JWK, JWKEC.from_json(known["key"])))
        client.net.account = messages.RegistrationResource(
            uri=known["uri"], body=messages.Registration()
        )
        if known["email"] == acme.email:
            return client
        client.update_registration(
            client.net.account, messages.Registration.from_data(email=acme.email)
        )
    _write(path, client, acme)
    return client


def forget(acme: Acme, home: Home) -> None:
    """The authority does not know our account any more: the next `member` makes another."""
    _path(acme, home).unlink(missing_ok=True)


def _client(acme: Acme, folder: Path, key: JWK | None) -> ClientV2:
    net = ClientNetwork(
        key=key,
        alg=ES256,
        user_agent=f"infergate/{version('infergate')}",
        timeout=_TIMEOUT_S,
    )
    if acme.ca is not None:
        net.verify_ssl = str(folder / acme.ca)  # type: ignore[assignment]  # requests takes a path
    return ClientV2(ClientV2.get_directory(acme.asked, net), net)


def _register(client: ClientV2, acme: Acme, key: JWKEC) -> None:
    binding = None
    if acme.eab is not None:
        binding = messages.ExternalAccountBinding.from_data(
            account_public_key=key.public_key(),
            kid=acme.eab.kid,
            hmac_key=acme.eab.hmac_key.get_secret_value(),
            directory=client.directory,
        )
    wanted = messages.NewRegistration.from_data(
        email=acme.email, terms_of_service_agreed=True, external_account_binding=binding
    )
    try:
        client.new_account(wanted)
    except errors.ConflictError as known:
        client.net.account = messages.RegistrationResource(uri=known.location, body=wanted)


def _path(acme: Acme, home: Home) -> Path:
    digest = hashlib.sha256(acme.asked.encode()).hexdigest()[:16]
    return home.acme / "accounts" / f"{digest}.json"


def _read(path: Path) -> dict[str, Any] | None:
    return read_state(path, lambda said: {each: said[each] for each in ("uri", "key", "email")})


def _write(path: Path, client: ClientV2, acme: Acme) -> None:
    assert client.net.account is not None  # noqa: S101 - registered just now
    assert client.net.key is not None  # noqa: S101
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {
        "directory": acme.asked,
        "uri": client.net.account.uri,
        "email": acme.email,
        "key": client.net.key.to_json(),
    }
    write_atomically(path, json.dumps(document), mode=0o600)
