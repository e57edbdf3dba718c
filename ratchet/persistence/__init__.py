"""The only home of SQL, for PostgreSQL and SQLite alike.

What belongs here: tables, types, the transaction, and one module of named statements for each noun.
What does not: decisions. A statement module reads and writes rows; the rules that choose live in `ratchet.domain`.
"""
