"""Files and batches of clients."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("bytes", _NUMBER, nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("files_of_owner", "files", ["owner", "number"])
    op.create_table(
        "batches",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("key_entry", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("input_file", sa.String(length=64), nullable=False),
        sa.Column("output_file", sa.String(length=64), nullable=True),
        sa.Column("error_file", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("total", _NUMBER, nullable=False),
        sa.Column("completed", _NUMBER, nullable=False),
        sa.Column("failed", _NUMBER, nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.Column("ended_at", _NUMBER, nullable=True),
        sa.Column("times", sa.Text(), nullable=False),
        sa.Column("keep_s", _NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("batches_of_owner", "batches", ["owner", "number"])
