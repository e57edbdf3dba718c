"""Raw asyncpg: the hot paths of PostgreSQL, for which SQLAlchemy's own execution costs several times the statement.

What belongs here: connections, their pool, the transaction over them, LISTEN. Statements stay Core expressions beside
the tables they serve; nothing outside this room (and the translation of errors) knows asyncpg.
"""
