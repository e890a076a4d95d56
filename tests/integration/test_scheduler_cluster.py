"""A scheduler of a cluster of which one master loses its data: its groups are known again."""

from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from rota.common import keys
from rota.common.catalog import Catalog
from tests.chaos.server import ask
from tests.support import configurations, probe, schedulers
from tests.support.clusters import SLOTS, Cluster, group_on
from tests.support.definitions import job
from tests.support.topologies import opened


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Return a cluster of its own."""
    with Cluster() as started:
        yield started


async def test_emptied_master(cluster: Cluster) -> None:
    """A group whose master lost all is published again; the list of groups is on another one."""
    listed = key_slot(keys.groups().encode()) * 3 // SLOTS
    hit, spared = group_on((listed + 1) % 3), group_on(listed)
    jobs = [
        job("acme/import", every=schedulers.RARE, group=hit),
        job("bolt/x", every=schedulers.RARE, group=spared),
    ]
    async with opened(cluster.url) as store, schedulers.running(cluster.url, *jobs) as rig:
        catalog = Catalog(store.link)
        await ask((await cluster.owner(keys.root(hit))).port, "FLUSHALL")
        lost = await catalog.jobs(hit)
        await probe.found(lambda: catalog.jobs(hit))
        found = [await catalog.jobs(group) for group in (hit, spared)]
        told = rig.book.events("published_again")

    assert [] == lost
    assert [[jobs[0]], [jobs[1]]] == found
    assert [hit] == [entry["group"] for entry in told]


async def test_follows_what_is_applied(cluster: Cluster) -> None:
    """On a cluster a revision is followed as elsewhere, whichever masters its groups are on."""
    groups = [group_on(n) for n in range(3)]
    jobs = [job(f"t{n}/x", every=schedulers.RARE, group=group) for n, group in enumerate(groups)]
    async with opened(cluster.url) as store, schedulers.running(cluster.url, *jobs[:2]) as rig:
        made = await configurations.apply(store, *jobs[1:])
        await configurations.followed(rig, made)
        await probe.until(lambda: rig.daemon.engine.next_ms("t2/x"))
        await probe.until(lambda: set(groups[1:]) == rig.led)

        assert rig.daemon.engine.next_ms("t0/x") is None
        assert sorted(groups[1:]) == await Catalog(store.link).groups()
        assert [] == [e for e in rig.book.complaints() if e != "handler_unserved"]
