"""The store knows the configuration, also after it has lost its data."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.store import Store
from rota.scheduler.publisher import Publisher
from tests.support.definitions import job
from tests.support.logbook import Logbook

JOBS = {"gold": [job(every="1h")], "silver": [job("bolt/x", every="1h", group="silver")]}
NOBODY = Logbook().log


LIMITS = {
    "gold": GroupLimits(
        weight=3.0, tenants={"acme": TenantLimits(interval_ms=600.5, burst=2, max_backlog=9)}
    ),
    "silver": GroupLimits(),
}


class Counting(Limiter):
    """A limiter that keeps which groups it was told of."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.told: list[str] = []

    async def limit(self, group: str, limits: GroupLimits) -> None:
        """Take note and go on."""
        self.told.append(group)
        await super().limit(group, limits)


class Rig:
    """A publisher of `JOBS` and what it works on."""

    def __init__(self, store: Store) -> None:
        self.book = Logbook()
        self.catalog = Catalog(store.link)
        self.publisher = Publisher(jobs=JOBS, catalog=self.catalog, log=self.book.log)


@pytest.fixture
def rig(store: Store) -> Rig:
    """Return a publisher on an empty store."""
    return Rig(store)


async def test_published_again(rig: Rig, store: Store) -> None:
    """A store that has lost its data is given all groups and jobs again, and the log says so."""
    await rig.publisher.publish()
    await store.link.command("FLUSHALL")
    for _ in range(2):
        await rig.publisher.turn()

    assert ["gold", "silver"] == await rig.catalog.groups()
    assert JOBS["silver"] == await rig.catalog.jobs("silver")
    assert [2] == [entry["groups"] for entry in rig.book.events("published_again")]


async def test_withdrawn_by_another(rig: Rig, store: Store) -> None:
    """What a scheduler with a newer configuration has withdrawn is not brought back."""
    await rig.publisher.publish()
    newer = Publisher(jobs={"gold": []}, catalog=rig.catalog, log=rig.book.log)
    await newer.publish()
    await rig.publisher.turn()

    assert ["gold"] == await rig.catalog.groups()
    assert [] == await rig.catalog.jobs("gold")
    assert [] == rig.book.complaints()


async def test_group_lost(rig: Rig, store: Store) -> None:
    """A group whose jobs were lost on its server alone is published again, and the log says so."""
    await rig.publisher.publish()
    await store.link.command("DEL", keys.jobs("silver"))
    rig.publisher.reopened("silver", 0.0)
    for _ in range(2):
        await rig.publisher.turn()

    assert JOBS["silver"] == await rig.catalog.jobs("silver")
    assert ["silver"] == [entry["group"] for entry in rig.book.events("published_again")]


async def test_reopened_without_loss(rig: Rig, store: Store) -> None:
    """Where another configuration's jobs are there, or its group is withdrawn, both are left."""
    newer = Publisher(jobs={"gold": [job("bolt/y", every="1h")]}, catalog=rig.catalog, log=NOBODY)
    await rig.publisher.publish()
    await newer.publish()
    for group in JOBS:
        rig.publisher.reopened(group, 0.0)
    await rig.publisher.turn()

    assert ["gold"] == await rig.catalog.groups()
    assert ["bolt/y"] == [each.ref for each in await rig.catalog.jobs("gold")]
    assert [] == await rig.catalog.jobs("silver")


async def test_two_configurations(rig: Rig, store: Store) -> None:
    """Of two schedulers that have no group in common the one that came last keeps its groups."""
    await rig.publisher.publish()
    newer = Publisher(jobs={"iron": []}, catalog=rig.catalog, log=NOBODY)
    await newer.publish()
    for publisher in (rig.publisher, newer):
        await publisher.turn()

    assert ["iron"] == await rig.catalog.groups()
    assert [] == rig.book.complaints()


async def test_no_groups(store: Store) -> None:
    """A configuration without groups has nothing to publish, again and again."""
    book = Logbook()
    empty = Publisher(jobs={}, catalog=Catalog(store.link), log=book.log)
    await empty.publish()
    await empty.turn()

    assert [] == book.complaints()


async def test_limits(store: Store) -> None:
    """The limits hold when the publisher has published, and are not sent again and again."""
    book, limiter = Logbook(), Counting(store)
    publisher = Publisher(
        jobs=JOBS, catalog=Catalog(store.link), log=book.log, limits=LIMITS, limiter=limiter
    )
    await publisher.publish()
    for _ in range(3):
        await publisher.turn()

    assert ["gold", "silver"] == limiter.told
    assert {"gold": 3.0, "silver": 1.0} == await Catalog(store.link).weights(["gold", "silver"])
    assert b"0 600.5 2 9" == await store.link.command("HGET", keys.tenant("gold", "acme"), "limits")


async def test_limits_after_a_loss(store: Store) -> None:
    """A store that lost its data is told the limits again before its gate closes."""
    limiter = Counting(store)
    publisher = Publisher(
        jobs=JOBS, catalog=Catalog(store.link), log=Logbook().log, limits=LIMITS, limiter=limiter
    )
    await publisher.publish()
    await store.link.command("FLUSHALL")
    await store.sweep("gold")
    limiter.told.clear()
    await publisher.turn()

    assert "gold" in limiter.told
    assert {"gold": 3.0} == await Catalog(store.link).weights(["gold"])
