"""Real servers for tests, the soak and the benchmarks: PostgreSQL and Valkey, started from packages.

Nothing needs a system service, root or Docker, and nothing is left running: a watchdog stops a server whose owner died.
Outside pytest: `with PostgresServer() as postgres, ValkeyServer() as valkey: ...`, or `python -m tests.servers`.
"""

from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tests.servers.waiting import eventually, eventually_true

__all__ = ["PostgresServer", "ValkeyServer", "eventually", "eventually_true"]
