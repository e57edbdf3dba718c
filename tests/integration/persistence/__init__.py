"""The database layer against a real PostgreSQL that dies, refuses and hangs."""
