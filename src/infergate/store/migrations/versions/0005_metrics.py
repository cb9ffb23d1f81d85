"""What was counted for Prometheus."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "metrics",
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("family", sa.String(length=63), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("part", _NUMBER, nullable=False),
        sa.Column("value", _NUMBER, nullable=False),
        sa.Column("updated_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("node", "family", "labels", "part"),
        sqlite_with_rowid=False,
    )
