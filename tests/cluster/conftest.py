"""The test cluster that RATCHET_TEST_CLUSTER names: a folder with its settings (`cluster.env`), its faults (`fault`).

No other cluster is ever touched, whatever KUBECONFIG says. Tests take turns on it, also those of other processes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from leader.database_lease import DatabaseFence
from leader.election import Times
from leader.kubernetes_lease import KubernetesLease
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.contract.leader.places import Place, kubernetes_lease

TIMES = Times(lease_duration=3, renew_deadline=1.8, retry_period=0.4, request_timeout=0.6)
CALL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is up."""

    folder: Path

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl prints. Raises subprocess.CalledProcessError."""
        return self.shell('kubectl "$@"', *arguments)

    def fault(self, *arguments: str) -> str:
        """Break or mend it."""
        return self.shell('./fault "$@"', *arguments)

    def shell(self, script: str, *arguments: str) -> str:
        """Run a line with the cluster's settings."""
        done = subprocess.run(
            ["bash", "-ec", f". ./cluster.env; {script}", "test", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=True,
        )
        return done.stdout

    @property
    def kubeconfig(self) -> Path:
        """The file that leads to its API server."""
        return Path(self.shell('printf %s "$KUBECONFIG"'))


@pytest.fixture(scope="session")
def the_cluster() -> Cluster:
    """The cluster, or the reason why there is none."""
    folder = os.environ.get("RATCHET_TEST_CLUSTER")
    if not folder:
        pytest.skip("RATCHET_TEST_CLUSTER names no cluster")
    cluster = Cluster(Path(folder))
    try:
        cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the test cluster does not answer: {error}")
    return cluster


@pytest.fixture
def cluster(the_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster for one test alone."""
    with (tmp_path_factory.getbasetemp().parent / "test-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield the_cluster


@pytest.fixture
def lease_name(cluster: Cluster) -> Iterator[str]:
    """A name that no lease has, and none keeps."""
    name = f"ratchet-test-{uuid4().hex[:8]}"
    yield name
    cluster.kubectl("delete", "lease", name, "--ignore-not-found")


@pytest_asyncio.fixture
async def place(cluster: Cluster, lease_name: str, sqlite_url: str) -> AsyncIterator[Place]:
    """A lease there, fenced by a database."""
    db = Database(DatabaseOptions(url=sqlite_url))
    await db.open()
    kubeconfig = cluster.kubeconfig

    async def another() -> KubernetesLease:
        return await kubernetes_lease(kubeconfig, lease_name, TIMES)

    async def delete() -> None:
        await asyncio.to_thread(cluster.kubectl, "delete", "lease", lease_name)

    async def annotate(key: str, value: str) -> None:
        await asyncio.to_thread(cluster.kubectl, "annotate", "lease", lease_name, f"{key}={value}")

    yield Place(another=another, fence=DatabaseFence(db), times=TIMES, delete=delete, annotate=annotate)
    await db.close()
