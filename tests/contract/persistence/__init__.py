"""The database layer: the same promises on PostgreSQL and SQLite."""
