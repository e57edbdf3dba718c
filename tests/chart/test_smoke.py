"""The script of `helm test`, run on a real service with the simulated broker."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charts import helm
from tests.chart.objects import of_kind, rendered
from tests.harness.process import Process
from tests.harness.watchdog import Watchdog
from tests.servers.process import free_port
from tests.servers.waiting import eventually

SMOKE = helm.CHART / "files/smoke.py"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[str]:
    """Yield the address of a service with everything in one process; its tokens are in the folder."""
    home, port = tmp_path / "home", free_port()
    environment = {"RATCHET_HOME": str(home), "RATCHET_HTTP_PORT": str(port)}
    with Watchdog(tmp_path / "pids") as watchdog:
        arguments = ["-m", "ratchet", "run"]
        process = Process("embedded", arguments, environment, log=tmp_path / "log", watchdog=watchdog)
        process.spawn()
        tokens = {home / f"{name}_token": tmp_path / f"{name}-token" for name in ("webhook", "api")}
        await eventually(lambda: all(token.exists() for token in tokens), within=30)
        for token, secret in tokens.items():
            secret.write_text(token.read_text())
        yield f"127.0.0.1:{port}"
        await process.stop()


def smoke(address: str, secrets: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the test pod does."""
    own = {"SERVICE": f"http://{address}", "LEADERS": address, "SECRETS": str(secrets), "LIMIT_SECONDS": "30"}
    return subprocess.run(
        [sys.executable, str(SMOKE)],
        env={"PATH": os.environ["PATH"], **own, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.without_helm
async def test_it_tells_a_working_release_and_sends_nothing_to_a_real_broker(service: str, tmp_path: Path) -> None:
    careful = smoke(service, tmp_path, TRADE="false")
    assert careful.returncode == 0, careful.stdout + careful.stderr
    assert "signal" not in careful.stdout

    trading = smoke(service, tmp_path, TRADE="true")
    assert trading.returncode == 0, trading.stdout + trading.stderr
    assert trading.stdout.count("ok ") == 7

    (tmp_path / "webhook-token").write_text("another-token-0123456789")
    wrong = smoke(service, tmp_path, TRADE="true", LIMIT_SECONDS="1")
    assert wrong.returncode == 1
    assert "FAIL  the signal is accepted: 401" in wrong.stdout


def test_the_test_pod_gets_this_script() -> None:
    (config,) = [found for found in of_kind(rendered("demo"), "ConfigMap") if "smoke.py" in found["data"]]
    assert config["data"]["smoke.py"].strip() == SMOKE.read_text("utf-8").strip()
