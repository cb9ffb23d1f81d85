"""Banned networks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("network", sa.String(length=43), nullable=False),
        sa.Column("since", _NUMBER, nullable=False),
        sa.Column("until", _NUMBER, nullable=True),
        sa.Column("reason", sa.String(length=256), nullable=False),
        sa.Column("times", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("network"),
    )
