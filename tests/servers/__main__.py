"""`python -m tests.servers`: a PostgreSQL and a Valkey for trying things out, until Ctrl-C."""

import signal
from contextlib import suppress

from tests.servers import PostgresServer, ValkeyServer


def main() -> None:
    """Start both, print what to export, wait for SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), PostgresServer() as postgres, ValkeyServer() as valkey:
        print(f"export RATCHET_DATABASE_URL={postgres.create_database()}")
        print(f"export RATCHET_REDIS_URL={valkey.url}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
