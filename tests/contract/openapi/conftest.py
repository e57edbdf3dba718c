"""A service in a thread of its own, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.integration.service import rows
from tests.integration.service.running import Pod, running, settings_for


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod with a few rows, without a rate limit."""
    home = tmp_path_factory.mktemp("openapi")
    started: Future[tuple[Pod, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        async with running(settings_for(home, http={"rate_limit_per_second": 0})) as pod:
            rows.insert(
                home,
                signal_log=[rows.signal_row(n) for n in range(1, 4)],
                positions=[rows.position_row(1)],
                holdings=[rows.holding_row(1)],
                order_intent=[rows.intent_row(1)],
                fills=[rows.fill_row(1, 10)],
                event_log=[rows.event_row(f"signal:main:{rows.fingerprint(1)}", 1, "accepted")],
                incident=[rows.incident_row(1)],
                portfolio=[rows.portfolio_row("main")],
            )
            started.set_result((pod, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="service")
    thread.start()
    pod, loop, over = started.result(timeout=20)
    yield pod
    loop.call_soon_threadsafe(over.set)
    thread.join(timeout=20)
