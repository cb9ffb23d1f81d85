"""API keys: made, shown, given new secrets, revoked, brought to another gateway."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from infergate.admin.gateway import Gateway
from infergate.admin.model_names import Unknown, unknown
from infergate.admin.money import check_currency
from infergate.admin.operation import (
    After,
    Document,
    Limit,
    Moment,
    Request,
    ThingName,
    Which,
    operation,
)
from infergate.admin.terms import Setting, Terms
from infergate.config.budgets import NANO, parse_budget, window_of
from infergate.config.policies import Grant
from infergate.errors import StateError
from infergate.state.exchange import keys_of_text, text_of_keys
from infergate.state.keys_file import read_keys_file
from infergate.store import key_changes
from infergate.store.database import Database
from infergate.store.keys import StoredKey, all_keys, find_key, keys_after
from infergate.store.policies import all_policies
from infergate.store.secrets import key_hash
from infergate.store.usage import Period, Spent, spent

Like = Annotated[
    str, Field(max_length=256, description="Only those whose name or team has this in it.")
]

_NOTHING = Spent(0, 0, 0)
_YEAR_S = 366 * 86400


class Key(Grant):
    """A key; of what it may do, only what was said of it itself."""

    model_config = ConfigDict(extra="ignore")

    id: str
    name: str
    prefix: str = Field(description="Its secret's first characters.")
    team: str | None
    policy: str | None = Field(description="Decides on what the key leaves open.")
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class KeyPage(Document):
    """Keys in the order they were made in."""

    items: list[Key]
    next: int | None
    declared: list[str] = Field(description="Keys that the configuration has, by their names.")
    in_keys_file: list[str] = Field(description="Keys of auth.keys_file.")


class NewKey(Terms):
    """A key to make."""

    name: ThingName
    team: ThingName | None = None
    policy: ThingName | None = None
    expires_at: Moment | None = Field(None, description="Unix seconds; never, if not given.")


class KeyChange(Terms):
    """What is to be different of a key; what is not said stays as it is."""

    team: ThingName | None = None
    policy: ThingName | None = None
    expires_at: Moment | None = Field(None, description="Unix seconds.")
    unset: list[Setting | Literal["team", "policy", "expires_at"]] = Field(
        [], description="Settings that are to end."
    )


class ChangedKey(Key, Unknown):
    """A key as it is now."""


class KeySecret(ChangedKey):
    """A key with its secret: the only time it is shown."""

    key: str = Field(description="The secret, as clients send it.")


class Secret(Document):
    """What is known of one of a key's secrets."""

    prefix: str
    created_at: int
    valid_until: int | None


class BudgetState(Document):
    """A budget, and what of it is used up."""

    budget: str
    used: float
    most: float = Field(description="What `used` may grow to.")
    renewed_at: int


class KeyInFull(Key):
    """A key with what its policy says, and what its budgets have left."""

    budgets: list[BudgetState]
    secrets: list[Secret]


class Rotation(Request):
    """How a key gets a new secret."""

    grace_s: int = Field(86400, ge=0, le=_YEAR_S, description="How long the old one stays valid.")


class KeyImport(Request):
    """Keys of another gateway."""

    text: str = Field(
        description='What an export gave, or lines "Bearer <key>" 1;',
        json_schema_extra={"format": "keys"},
    )
    file: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$")] = (
        Field("import", description="What the file was called, for the keys' names.")
    )


class KeyImported(Document):
    """What came of an import."""

    found: int
    imported: int
    in_clear: bool = Field(description="Whether the text had secrets in it.")


class KeyExport(Document):
    """Keys with their hashes, never their secrets."""

    text: str


def _key(key: StoredKey) -> Key:
    return Key.model_validate(key.public())


def _with_secret(made: key_changes.KeyToMake) -> KeySecret:
    return KeySecret.model_validate({**made.stored.public(), "key": made.secret})


@operation("GET", "/keys")
def list_keys(
    gateway: Gateway,
    *,
    revoked: bool = False,
    like: Like = "",
    after: After = 0,
    limit: Limit = 100,
) -> KeyPage:
    """The keys; never their secrets."""
    found, following = keys_after(gateway.database, after, limit, revoked=revoked, like=like)
    return KeyPage(
        items=[_key(key) for key in found],
        next=following,
        declared=list(gateway.loaded.config.auth.keys),
        in_keys_file=[key.name for key in read_keys_file(gateway.loaded, gateway.home).keys],
    )


@operation("POST", "/keys")
def create_key(gateway: Gateway, body: NewKey) -> KeySecret:
    """Make a key. Its secret is in this answer and kept only as a hash."""
    allowed = body.grant()
    check_currency(allowed.budget, gateway.loaded)
    made = key_changes.create_key(
        gateway.database,
        body.name,
        allowed=allowed,
        team=body.team,
        policy=body.policy,
        expires_at=body.expires_at,
    )
    _publish_or_withdraw(gateway, made, None)
    update = unknown(gateway.loaded.config, gateway.home, allowed)
    return _with_secret(made).model_copy(update=update)


def _publish_or_withdraw(
    gateway: Gateway, made: key_changes.KeyToMake, before: StoredKey | None
) -> None:
    """Activate a new secret, or take it back: nobody has seen it, so it must not be valid.

    before: the key as it was without it; None if it is a new key. Raises StateError.
    """
    try:
        gateway.publish_keys()
    except StateError as problem:
        try:
            key_changes.withdraw(gateway.database, made, before)
            gateway.end_keys([key_hash(made.secret)])
        except StateError as other:
            raise StateError(
                f"{made.stored.name!r} has a new secret that nobody saw: {problem.what}",
                where=problem.where,
                hint=f"It could not be undone ({other.what}). Once there is room, "
                f"`infergate keys revoke {made.stored.name}` does.",
            ) from problem
        raise


@operation("GET", "/keys/{key}")
def show_key(gateway: Gateway, key: Which) -> KeyInFull:
    """One key, by its id or name: what it may do, and what is left of its budgets."""
    database = gateway.database
    found = find_key(database, key)
    policy = all_policies(database)[found.policy] if found.policy else None
    allowed = found.allowed if policy is None else found.allowed.over(policy)
    return KeyInFull.model_validate(
        {
            **found.public(),
            **allowed.model_dump(mode="json", exclude_unset=True),
            "budgets": _budgets(database, found, allowed, time.time()),
            "secrets": [
                Secret(prefix=each.prefix, created_at=each.created_at, valid_until=each.valid_until)
                for each in found.secrets
            ],
        }
    )


def _budgets(database: Database, key: StoredKey, allowed: Grant, now: float) -> list[BudgetState]:
    budgets = []
    for budget in map(parse_budget, allowed.budget):
        began, ends = window_of(budget.window, now)
        period: Period = "h" if budget.window == "hour" else "d"
        since = began
        if key.created_at > began:
            period, since = "h", key.created_at // 3600 * 3600
        with database.read() as connection:
            used = spent(connection, period, since, [key.name]).get(key.name, _NOTHING)
        amount = used.cost if budget.currency else getattr(used, budget.what)
        unit = NANO if budget.currency else 1
        budgets.append(
            BudgetState(
                budget=budget.text, used=amount / unit, most=budget.amount / unit, renewed_at=ends
            )
        )
    return budgets


@operation("PATCH", "/keys/{key}")
def set_key(gateway: Gateway, key: Which, body: KeyChange) -> ChangedKey:
    """Change what a key may do; what is not said stays as it is."""
    given = body.grant()
    check_currency(given.budget, gateway.loaded)
    changed = key_changes.set_key(
        gateway.database,
        key,
        given,
        set(body.unset),
        team=body.team,
        policy=body.policy,
        expires_at=body.expires_at,
    )
    gateway.publish_keys()
    said = unknown(gateway.loaded.config, gateway.home, given)
    return ChangedKey.model_validate({**changed.public(), **said})


@operation("POST", "/keys/{key}/rotate")
def rotate_key(gateway: Gateway, key: Which, body: Rotation = Rotation()) -> KeySecret:  # noqa: B008 - frozen
    """Give a key a new secret; the old one stays valid for a while."""
    before = find_key(gateway.database, key)
    rotated = key_changes.rotate_key(gateway.database, key, body.grace_s)
    _publish_or_withdraw(gateway, rotated, before)
    return _with_secret(rotated)


@operation("POST", "/keys/{key}/revoke")
def revoke_key(gateway: Gateway, key: Which) -> Key:
    """End a key's validity, from the next request on."""
    found = find_key(gateway.database, key)
    try:
        revoked = key_changes.revoke_key(gateway.database, key)
    except StateError as problem:
        if _end(gateway, found):
            hint = "nginx refuses the key, but only until keys are changed or it is started again."
            raise StateError(problem.what, where=problem.where, hint=hint) from problem
        raise
    # First by itself: that needs neither room nor a disk. The control plane publishes until it can.
    ended = _end(gateway, revoked)
    try:
        gateway.publish_keys()
    except StateError:
        if not ended:
            raise
    return _key(revoked)


def _end(gateway: Gateway, key: StoredKey) -> bool:
    """Whether nginx refuses all secrets of the key from now on."""
    try:
        return gateway.end_keys(secret.hash for secret in key.secrets)
    except StateError:
        return False


@operation("POST", "/keys:import")
def import_keys(gateway: Gateway, body: KeyImport) -> KeyImported:
    """Take over the keys of another gateway; only their hashes are kept."""
    keys, in_clear = keys_of_text(body.text, body.file)
    added = key_changes.add_keys(gateway.database, keys)
    gateway.publish_keys()
    return KeyImported(found=len(keys), imported=added, in_clear=in_clear)


@operation("POST", "/keys:export")
def export_keys(gateway: Gateway) -> KeyExport:
    """The keys with their hashes, for an import at another gateway; needs a token for changes."""
    return KeyExport(text=text_of_keys(all_keys(gateway.database)))
