"""Who still asks for models by names that go away."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "old_names",
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("calls", _NUMBER, nullable=False),
        sa.Column("first_at", _NUMBER, nullable=False),
        sa.Column("last_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", "key", "client"),
        sqlite_with_rowid=False,
    )
