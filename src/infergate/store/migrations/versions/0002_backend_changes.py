"""What operators changed of the backends."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "backend_changes",
        sa.Column("backend", sa.String(length=63), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("instead_of", sa.Text(), nullable=True),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("backend", "what"),
    )
