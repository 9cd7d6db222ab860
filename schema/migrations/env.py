"""Alembic's entry: runs on the connection that `schema.tables.database.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

import schema.tables.tables as tables

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()

__all__ = ["tables"]
