"""Tokens of this very API."""

from __future__ import annotations

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import (
    AfterName,
    Document,
    Limit,
    Moment,
    Request,
    ThingName,
    Which,
    operation,
)
from infergate.admin.pages import page_of
from infergate.admin.teams import Removed
from infergate.store import admin_tokens
from infergate.store.admin_tokens import AdminToken, Role
from infergate.store.audit import actor


class TokenEntry(Document):
    """A token; never its secret."""

    name: str
    role: Role
    prefix: str = Field(description="Its first characters.")
    created_at: int
    expires_at: int | None


class TokenPage(Document):
    """Tokens by name."""

    items: list[TokenEntry]
    next: str | None


class NewToken(Request):
    """A token to make."""

    name: ThingName
    role: Role = Field(description="read may ask, full may change.")
    expires_at: Moment | None = Field(None, description="Unix seconds; never, if not given.")


class TokenSecret(TokenEntry):
    """A token with its secret: the only time it is shown."""

    token: str


def _token(token: AdminToken) -> TokenEntry:
    return TokenEntry.model_validate(token, from_attributes=True)


@operation("GET", "/tokens")
def list_tokens(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> TokenPage:
    """The tokens of this API; never their secrets."""
    found = map(_token, admin_tokens.all_tokens(gateway.database))
    items, following = page_of(found, lambda token: token.name, after, limit)
    return TokenPage(items=items, next=following)


class TokenCaller(Document):
    """Who asks. token: null for who asks through the unix socket."""

    name: str = Field(description="As the audit log says it.")
    role: Role
    token: TokenEntry | None


@operation("GET", "/tokens:me")
def whoami(gateway: Gateway) -> TokenCaller:
    """Who asks, and what they may."""
    name = actor()
    for each in admin_tokens.all_tokens(gateway.database):
        if admin_tokens.as_actor(each) == name:
            return TokenCaller(name=name, role=each.role, token=_token(each))
    return TokenCaller(name=name, role="full", token=None)


@operation("POST", "/tokens")
def create_token(gateway: Gateway, body: NewToken) -> TokenSecret:
    """Make a token. It is in this answer and kept only as a hash."""
    secret, made = admin_tokens.create_token(
        gateway.database, body.name, body.role, expires_at=body.expires_at
    )
    return TokenSecret(token=secret, **_token(made).model_dump())


@operation("DELETE", "/tokens/{token}")
def revoke_token(gateway: Gateway, token: Which) -> Removed:
    """End a token's validity, from the next request on."""
    admin_tokens.revoke_token(gateway.database, token)
    return Removed(name=token)
