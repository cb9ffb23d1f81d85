"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=63), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "config_revisions",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "drained",
        sa.Column("backend", sa.String(length=63), nullable=False),
        sa.Column("since", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("backend"),
    )
    op.create_table(
        "logs",
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("file", sa.String(length=256), nullable=False),
        sa.Column("inode", _NUMBER, nullable=False),
        sa.Column("position", _NUMBER, nullable=False),
        sa.Column("lines", _NUMBER, nullable=False),
        sa.Column("unreadable", _NUMBER, nullable=False),
        sa.Column("updated_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("identity"),
    )
    op.create_table(
        "policies",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("allowed", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "teams",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "usage",
        sa.Column("period", sa.String(length=1), nullable=False),
        sa.Column("start", _NUMBER, nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("backend", sa.String(length=63), nullable=False),
        sa.Column("requests", _NUMBER, nullable=False),
        sa.Column("errors", _NUMBER, nullable=False),
        sa.Column("prompt_tokens", _NUMBER, nullable=False),
        sa.Column("completion_tokens", _NUMBER, nullable=False),
        sa.Column("cached_tokens", _NUMBER, nullable=False),
        sa.Column("estimated", _NUMBER, nullable=False),
        sa.Column("duration_ms", _NUMBER, nullable=False),
        sa.Column("cost", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("period", "start", "key", "model", "backend"),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_of_key", "usage", ["period", "key", "start"], unique=False)
    op.create_table(
        "keys",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("team", sa.String(length=63), nullable=True),
        sa.Column("policy", sa.String(length=63), nullable=True),
        sa.Column("allowed", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=True),
        sa.Column("revoked_at", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policies.name"],
        ),
        sa.ForeignKeyConstraint(
            ["team"],
            ["teams.name"],
        ),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "keys_valid_name",
        "keys",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "secrets",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("valid_until", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["key"],
            ["keys.id"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_secrets_key", "secrets", ["key"], unique=False)
