"""Alembic's environment: connection and metadata come from the caller."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    transactional_ddl=False,
)
context.run_migrations()
