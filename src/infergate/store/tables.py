"""The tables, as SQLAlchemy describes them; `migrations/` brings a database to them.

Times are Unix seconds, sets of settings are JSON texts of the configuration's own models, and money
is in billionths (config/budgets.py). So SQLite and PostgreSQL hold the same values.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    text,
)

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts rows up by itself only in a column that is called INTEGER."""

_VALID = "revoked_at IS NULL"
"""A name is taken as long as what has it is valid."""


@event.listens_for(metadata, "before_create")
def _valid_on_postgresql(_metadata: MetaData, connection: Connection, **_more: Any) -> None:
    """The same condition for PostgreSQL. Named at the index, it would load all that SQLAlchemy
    knows of PostgreSQL, 40 ms, into every process of a gateway that has SQLite."""
    if connection.dialect.name == "postgresql":
        for table in metadata.tables.values():
            for index in table.indexes:
                if index.dialect_options["sqlite"]["where"] is not None:
                    index.dialect_options["postgresql"]["where"] = text(_VALID)


teams = Table(
    "teams",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("budget", Text, nullable=False),  # a JSON list
    Column("created_at", _Number, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("allowed", Text, nullable=False),  # a Grant (config/policies.py), set fields only
    Column("created_at", _Number, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),  # the order they were made in
    Column("id", String(32), nullable=False, unique=True),
    Column("name", String(256), nullable=False),
    Column("team", String(63), ForeignKey("teams.name")),
    Column("policy", String(63), ForeignKey("policies.name")),
    Column("allowed", Text, nullable=False),  # as of policies; it goes before theirs
    Column("created_at", _Number, nullable=False),
    Column("expires_at", _Number),
    Column("revoked_at", _Number),
)
Index(
    "keys_valid_name",
    keys.c.name,
    unique=True,
    sqlite_where=text(_VALID),
)

secrets = Table(
    "secrets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("key", String(32), ForeignKey("keys.id"), nullable=False, index=True),
    Column("prefix", String(16), nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("valid_until", _Number),  # set when another secret took its place
)

drained = Table(
    "drained",
    metadata,
    Column("backend", String(63), primary_key=True),
    Column("since", _Number, nullable=False),
)

backend_changes = Table(
    "backend_changes",
    metadata,
    Column("backend", String(63), primary_key=True),
    Column("what", String(16), primary_key=True),  # weight, add or remove (config/in_force.py)
    Column("value", Text, nullable=False),
    Column("instead_of", Text),  # what the file said then
    Column("at", _Number, nullable=False),
    Column("who", String(256), nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("network", String(43), primary_key=True),  # CIDR
    Column("since", _Number, nullable=False),
    Column("until", _Number),  # NULL: for ever
    Column("reason", String(256), nullable=False),
    Column("times", _Number, nullable=False),  # how often it was banned, this time included
)

usage = Table(
    "usage",
    metadata,
    Column("period", String(1), primary_key=True),  # m, h or d
    Column("start", _Number, primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("model", String(256), primary_key=True),
    Column("backend", String(63), primary_key=True),
    Column("requests", _Number, nullable=False),
    Column("errors", _Number, nullable=False),
    Column("prompt_tokens", _Number, nullable=False),
    Column("completion_tokens", _Number, nullable=False),
    Column("cached_tokens", _Number, nullable=False),
    Column("estimated", _Number, nullable=False),
    Column("duration_ms", _Number, nullable=False),
    Column("cost", _Number, nullable=False),
    sqlite_with_rowid=False,
)
Index("usage_of_key", usage.c.period, usage.c.key, usage.c.start)

logs = Table(
    "logs",
    metadata,
    Column("identity", String(64), primary_key=True),  # SHA-256 of its first line
    Column("node", String(256), nullable=False),
    Column("file", String(256), nullable=False),
    Column("inode", _Number, nullable=False),
    Column("position", _Number, nullable=False),  # every byte before it is counted
    Column("lines", _Number, nullable=False),
    Column("unreadable", _Number, nullable=False),
    Column("updated_at", _Number, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    Column("node", String(256), primary_key=True),  # the gateway; "" in a database of its own
    Column("family", String(63), primary_key=True),  # metrics/counted.py
    Column("labels", Text, primary_key=True),  # a JSON list
    Column("part", _Number, primary_key=True),  # a bucket of a histogram, -1 its sum
    Column("value", _Number, nullable=False),
    Column("updated_at", _Number, nullable=False),
    sqlite_with_rowid=False,
)

old_names = Table(
    "old_names",
    metadata,
    Column("name", String(256), primary_key=True),  # of a model, in lower case
    Column("key", String(256), primary_key=True),
    Column("client", String(64), primary_key=True),
    Column("calls", _Number, nullable=False),
    Column("first_at", _Number, nullable=False),
    Column("last_at", _Number, nullable=False),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("at", _Number, nullable=False),
    Column("who", String(256), nullable=False),
    Column("action", String(63), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("before", Text),
    Column("after", Text),
)

admin_tokens = Table(
    "admin_tokens",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("name", String(63), nullable=False),
    Column("role", String(8), nullable=False),  # read or full
    Column("hash", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("expires_at", _Number),
    Column("revoked_at", _Number),
)
Index(
    "admin_tokens_valid_name",
    admin_tokens.c.name,
    unique=True,
    sqlite_where=text(_VALID),
)

config_revisions = Table(
    "config_revisions",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("at", _Number, nullable=False),
    Column("who", String(256), nullable=False),
    Column("node", String(256), nullable=False),
    Column("revision", _Number, nullable=False),  # the folder below revisions/
    Column("source", Text, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the YAML
)

files = Table(
    "files",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("node", String(256), nullable=False),  # the gateway whose state folder has it
    Column("owner", String(128), nullable=False),  # the tenant of a policy (state/policy.py)
    Column("key", String(256), nullable=False),
    Column("name", Text, nullable=False),  # the client's, JSON; nothing on a disk is called so
    Column("purpose", String(32), nullable=False),
    Column("bytes", _Number, nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("expires_at", _Number),
)
Index("files_of_owner", files.c.owner, files.c.number)

batches = Table(
    "batches",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("node", String(256), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("key", String(256), nullable=False),
    Column("key_entry", String(64), nullable=False),  # of nginx's zone `keys`: a hash
    Column("client", String(64), nullable=False),  # the address it was made from
    Column("endpoint", String(64), nullable=False),
    Column("input_file", String(64), nullable=False),
    Column("output_file", String(64)),  # as error_file: from the start on
    Column("error_file", String(64)),
    Column("status", String(16), nullable=False),
    Column("errors", Text, nullable=False),  # a JSON list
    Column("about", Text, nullable=False),  # its metadata, a JSON object
    Column("total", _Number, nullable=False),
    Column("completed", _Number, nullable=False),
    Column("failed", _Number, nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("expires_at", _Number, nullable=False),
    Column("ended_at", _Number),
    Column("times", Text, nullable=False),  # a JSON object: status → since when
    Column("keep_s", _Number),  # how long what it writes is kept, if the client said so
)
Index("batches_of_owner", batches.c.owner, batches.c.number)

responses = Table(
    "responses",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("node", String(256), nullable=False),  # the gateway that makes it
    Column("owner", String(64), nullable=False),  # a key's id, or the hash of one of the YAML
    Column("entry", String(64), nullable=False),  # of nginx's zone `keys`: a hash
    Column("client", String(64), nullable=False),  # the address it was asked from
    Column("previous", String(64)),  # whose conversation it goes on with
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),  # of one in the background
    Column("bytes", _Number, nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("used_at", _Number, nullable=False),  # made, or gone on from
    Column("document", Text, nullable=False),  # as it is told, a JSON object
    Column("items", Text, nullable=False),  # its own input, a JSON list
    Column("asked", Text),  # the rest of the request, a JSON object; NULL once it has ended
    Column("events", Text),  # of one in the background that is a stream
)
# All that is counted of a key's stands in it.
Index(
    "responses_of_owner",
    *(responses.c.owner, responses.c.used_at, responses.c.status, responses.c.bytes),
)
