"""Servers for all schedules of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import cluster, the_cluster
from tests.soak.site import Servers

__all__ = ["cluster", "the_cluster"]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One PostgreSQL, one Valkey and one nursery. A schedule that stops them starts them again."""
    with Servers() as built:
        yield built


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the processes say stands in their logs; what this one says of the same is left out."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
