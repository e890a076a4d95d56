"""A worker of a cluster that loses a master: the other groups' runs go on, and nothing burns."""

from collections.abc import Iterator

import pytest

from rota.common import keys
from rota.common.errors import StoreUnavailable
from rota.common.store import Store
from tests.support import probe, workers
from tests.support.clusters import Cluster, group_on
from tests.support.gate import Gate
from tests.support.topologies import opened


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Return a cluster of its own."""
    with Cluster() as started:
        yield started


_REOPENED = 30.0  # seconds until the promoted replica is found and its gate has closed


async def test_lost_master(cluster: Cluster) -> None:
    """While one group's master is away the others' runs are executed once each; then all are."""
    hit, spared = group_on(0), group_on(1)
    gate = Gate()
    async with opened(cluster.url) as store:
        await store.enqueue({hit: [workers.run_of("early")]})
        async with workers.working(cluster.url, gate.jobs, groups=[hit, spared], concurrency=4):
            await gate.begins()
            old = await cluster.owner(keys.root(hit))
            old.kill()
            gate.open.set()  # what has ended can't be reported for a while
            await store.enqueue({spared: workers.runs_of(50)})
            there = await workers.told(store, 50, spared)
            await cluster.replaced(keys.root(hit), old)
            await probe.found(lambda: _accepted(store, hit), _REOPENED)
            here = await workers.told(store, 2, hit)

    assert {1} == {each.attempt for each in there}
    assert 50 == len({each.job_id for each in there})
    assert ["early", "late"] == sorted(each.job for each in here)
    assert {("succeeded", 1)} == {(each.outcome, each.attempt) for each in here}


async def _accepted(store: Store, group: str) -> bool:
    try:
        answers = await store.enqueue({group: [workers.run_of("late")]})
    except StoreUnavailable:
        return False
    return answers[group][0][0] != "gated"
