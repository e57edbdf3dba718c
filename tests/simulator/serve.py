"""Serve a simulator in a process of its own: `python -m tests.simulator.serve STORE PORT_FILE`."""

import asyncio
import sys
from pathlib import Path

from ratchet.brokers.simulator import SimulatorServer, SimulatorSettings
from tests.simulator.desk import KEY


async def main(store: Path, port_file: Path) -> None:
    settings = SimulatorSettings(api_key=KEY, store_path=store, rate_limits=False)
    async with SimulatorServer(settings) as server:
        partial = port_file.with_suffix(".partial")
        partial.write_text(str(server.port))
        partial.rename(port_file)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
