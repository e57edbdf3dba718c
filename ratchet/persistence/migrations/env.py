"""Alembic's entry: runs revisions on the connection that `ratchet.persistence.migrate` has opened and will commit."""

from __future__ import annotations

from alembic import context

from ratchet.persistence.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
