"""The same operations at a gateway elsewhere, by its admin API."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from infergate.admin.operation import LONGEST_PAGE, Operation
from infergate.errors import InfergateError, NotAllowed, UserError

P = ParamSpec("P")
R = TypeVar("R")

_TIMEOUT_S = httpx.Timeout(4000.0, connect=10.0)
"""An apply is watched for up to an hour, and answers then."""

_UNIX = "unix:"


@dataclass(frozen=True)
class Remote:
    """A gateway that is reached by its admin API.

    url: https://HOST:PORT, http:// on this machine only, or unix:/PATH of a socket.
    ca_file: certificates to trust instead of the system's, for a self-signed one.
    """

    url: str
    token: str | None = None
    ca_file: Path | None = None

    def run(self, operation: Operation[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """What the operation answers there. Raises InfergateError as it would here."""
        given = dict(operation.bound(*arguments, **named))
        body: BaseModel | None = given.pop("body", None)
        path = re.sub(
            r"\{(\w+)\}", lambda name: quote(str(given.pop(name[1])), safe=""), operation.path
        )
        query = {name: value for name, value in given.items() if value is not None}
        json = None if body is None else body.model_dump(mode="json", exclude_unset=True)
        try:
            answer = self._client.request(operation.method, path, params=query, json=json)
        except httpx.HTTPError as problem:
            raise InfergateError(
                f"the admin API cannot be reached: {problem or type(problem).__name__}",
                where=self.url,
                hint="`--ca-file` names the certificate of one that is self-signed."
                if "CERTIFICATE_VERIFY" in str(problem)
                else None,
            ) from None
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            return TypeAdapter(operation.answer).validate_python(answer.json())
        except (ValueError, ValidationError):
            raise self._stranger(answer) from None

    def pages(self, operation: Operation[P, R], **named: Any) -> Iterator[R]:
        """All of a list's pages."""
        after: dict[str, Any] = {}
        while True:
            run: Any = self.run
            page: R = run(operation, limit=LONGEST_PAGE, **named, **after)
            yield page
            following = getattr(page, "next", None)
            if following is None:
                return
            after = {"after": following}

    @cached_property
    def _client(self) -> httpx.Client:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if self.url.startswith(_UNIX):
            return httpx.Client(
                base_url="http://localhost",
                transport=httpx.HTTPTransport(uds=self.url.removeprefix(_UNIX)),
                headers=headers,
                timeout=_TIMEOUT_S,
            )
        parts = urlsplit(self.url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError("is no address of an admin API", where=self.url, hint=_ADDRESSES)
        if parts.scheme == "http" and not local:
            raise UserError(
                "the token would cross the network in clear text", where=self.url, hint=_ADDRESSES
            )
        try:
            trusted = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as problem:
            raise UserError(f"holds no certificates: {problem}", where=str(self.ca_file)) from None
        return httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT_S, verify=trusted)

    def _refusal(self, answer: httpx.Response) -> InfergateError:
        """The problem (RFC 9457) that was answered, as the error that it was there."""
        try:
            problem = answer.json()
            what, where, hint = problem["detail"], problem.get("where"), problem.get("hint")
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._stranger(answer)
        if answer.status_code in (401, 403, 429):
            return NotAllowed(what, where=where or self.url, hint=hint)
        error = UserError if answer.is_client_error else InfergateError
        return error(what, where=where or self.url, hint=hint)

    def _stranger(self, answer: httpx.Response) -> InfergateError:
        return InfergateError(
            f"answered {answer.status_code} in a way that no admin API of this version does",
            where=self.url,
            hint="Is this the address of `admin: listen:`, and the same version of Infergate?",
        )


_ADDRESSES = "https://HOST:PORT; http://127.0.0.1:PORT on this machine; unix:/PATH/admin.sock."
