"""Alembic runs this: the migrations, in the transaction that store/migrate.py has begun."""

from alembic import context

from infergate.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
