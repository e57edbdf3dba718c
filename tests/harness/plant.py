"""A whole installation: services, leaders and a simulated broker on one database, each a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from ratchet.bootstrap import open_runtime
from ratchet.config import Settings, load_settings
from ratchet.execution import reconcile
from ratchet.execution.setup import ensure_accounts
from ratchet.persistence import control
from tests.harness.broker import BrokerDesk
from tests.harness.client import Client
from tests.harness.process import Process
from tests.harness.watchdog import Watchdog
from tests.servers.waiting import eventually

API_KEY = "key-of-the-test-simulator"
WEBHOOK_TOKEN = "webhook-token-of-the-tests"
API_TOKEN = "api-token-of-the-tests-0001"

_SIMULATOR = ("-m", "ratchet", "simulator")


class Plant:
    """Starts processes for the time of its block, and ends what is left of them after it.

    database_url: a migrated database. redis_url: None to go without. load_accounts: load-01 and so on, at the broker
    and in the portfolio. settings: RATCHET_ variables of every service and leader, without the prefix, on top of the
    test preset (such as EXECUTION__CONCURRENCY="2").
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        redis_url: str | None = None,
        load_accounts: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self.redis_url = redis_url
        self.services: list[Process] = []
        self.leaders: list[Process] = []
        self.simulator: Process | None = None
        self._commands: list[Process] = []
        self.broker_url = ""
        self.client = Client(self.service_urls, api_token=API_TOKEN)
        self._load_accounts = load_accounts
        self._settings = dict(settings or {})
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._watchdog = self._stack.enter_context(Watchdog(self.folder / "pids"))
        await self._stack.enter_async_context(self.client)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            for process in self.processes:
                process.kill()
        finally:
            await self._stack.aclose()

    @property
    def processes(self) -> list[Process]:
        """Every process that was ever made, alive or not."""
        return [*self.services, *self.leaders, *self._commands, *([self.simulator] if self.simulator else [])]

    @property
    def broker(self) -> BrokerDesk:
        """The simulator's admin endpoints."""
        return BrokerDesk(self.broker_url)

    def service_urls(self) -> list[str]:
        """Return where services listen at this moment; a paused one is among them, as a balancer would have it."""
        return [service.url for service in self.services if service.running and service.port is not None]

    async def start_simulator(self) -> Process:
        """Start the broker, or start it again on its port with the book it had."""
        if self.simulator is None:
            self.simulator = self._made("simulator", _SIMULATOR, self._simulator_environment())
        self.simulator.spawn()
        port = await self.simulator.listening()
        self.simulator.environment["RATCHET_SIMULATOR_PORT"] = str(port)
        self.broker_url = self.simulator.url
        return self.simulator

    def use_simulator(self, url: str) -> None:
        """Use a simulator that runs elsewhere, with the key API_KEY."""
        self.broker_url = url

    async def start_service(self, **more: Any) -> Process:
        """Make a new service (see `new_service`), start it, and wait until it is ready."""
        service = self.new_service(**more)
        service.spawn()
        await service.ready()
        return service

    async def start_leader(self, **more: Any) -> Process:
        """Make a new leader, start it, and wait until it is ready."""
        leader = self.new_leader(**more)
        leader.spawn()
        await leader.ready()
        return leader

    def new_service(
        self, *, failpoints: str = "", broken_build: str = "", settings: Mapping[str, str] | None = None
    ) -> Process:
        """Make a service that is not started yet. failpoints: what is armed from its start, such as K8:kill."""
        name = f"service-{len(self.services) + 1}"
        environment = self._environment(name, failpoints, broken_build, settings)
        self.services.append(self._made(name, ("-m", "service"), environment))
        return self.services[-1]

    def new_leader(
        self, *, failpoints: str = "", broken_build: str = "", settings: Mapping[str, str] | None = None
    ) -> Process:
        """Make a leader that is not started yet."""
        name = f"leader-{len(self.leaders) + 1}"
        environment = self._environment(name, failpoints, broken_build, settings)
        self.leaders.append(self._made(name, ("-m", "leader"), environment))
        return self.leaders[-1]

    def command(self, *arguments: str, failpoints: str = "") -> Process:
        """Make a `ratchet` command that is not started yet; it listens nowhere."""
        name = f"command-{len(self._commands) + 1}"
        environment = self._environment(name, failpoints, "", None)
        self._commands.append(self._made(name, ("-m", "ratchet", *arguments), environment))
        return self._commands[-1]

    def fired(self, process: Process) -> list[str]:
        """Return which armed failpoints of a process have fired, such as ["K8:kill"]."""
        marker = self._marker(process.name)
        return marker.read_text().split() if marker.exists() else []

    def loaded(self, **more: Any) -> Settings:
        """Return settings for code of the test's own process on this installation: the auditor, an own pod."""
        return load_settings(
            home=self.folder,
            preset="test",
            database_url=self.database_url,
            redis_url=self.redis_url,
            openalgo_url=self.broker_url,
            openalgo_api_key=API_KEY,
            webhook_token=WEBHOOK_TOKEN,
            api_token=API_TOKEN,
            **{"broker": {"kind": "simulator"}, "simulator": {"load_accounts": self._load_accounts}, **more},
        )

    async def open_sending(self) -> None:
        """Audit the books, as a leader does until every one was read: before it nothing is sent."""
        async with open_runtime(self.loaded(), role="cli") as rt:
            await rt.db.open()
            await ensure_accounts(rt)

            async def audited() -> bool:
                await reconcile.run(rt)
                async with rt.db.transaction(name="audited") as tx:
                    return (await control.read(tx)).audited

            await eventually(audited, within=20.0)

    def _made(self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Process:
        log = self.folder / f"{name}.log"
        return Process(name, arguments, environment, log=log, watchdog=self._watchdog)

    def _marker(self, name: str) -> Path:
        return self.folder / f"{name}.fired"

    def _environment(
        self, name: str, failpoints: str, broken_build: str, settings: Mapping[str, str] | None
    ) -> dict[str, str]:
        values = {
            "PRESET": "test",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url or "",
            "OPENALGO_URL": self.broker_url,
            "OPENALGO_API_KEY": API_KEY,
            "WEBHOOK_TOKEN": WEBHOOK_TOKEN,
            "API_TOKEN": API_TOKEN,
            "HTTP_PORT": "0",
            "LEADER__HTTP_PORT": "0",
            "BROKER__KIND": "simulator",
            "FAILPOINTS": failpoints,
            "FAILPOINT_MARKER": str(self._marker(name)),
            "BROKEN_BUILD": broken_build,
            **self._common(),
            **self._settings,
            **(settings or {}),
        }
        return {f"RATCHET_{variable}": value for variable, value in values.items() if value}

    def _simulator_environment(self) -> dict[str, str]:
        values = {
            "OPENALGO_API_KEY": API_KEY,
            "SIMULATOR__ORDERS_PER_SECOND": "1000",
            "SIMULATOR__CALLS_PER_SECOND": "1000",
            **self._common(),
        }
        return {f"RATCHET_{variable}": value for variable, value in values.items()}

    def _common(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "LOG_FORMAT": "json",
            "SIMULATOR__LOAD_ACCOUNTS": str(self._load_accounts),
        }
