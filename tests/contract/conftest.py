"""Stores of several servers, for the tests of this suite that need one."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.clusters import Cluster
from tests.support.topologies import Sentinels


@pytest.fixture(scope="session")
def sentinels() -> Iterator[Sentinels]:
    """Return a master that sentinels manage. Don't make it fail: start one of your own."""
    with Sentinels() as started:
        yield started


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    """Return a cluster; take `cluster` instead, which is whole and empty."""
    with Cluster() as started:
        yield started


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """Return a cluster that is whole and empty; what the test kills is started again."""
    asyncio.run(running_cluster.empty())
    yield running_cluster
    asyncio.run(running_cluster.heal())
