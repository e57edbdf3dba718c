"""The database layer without a database."""
