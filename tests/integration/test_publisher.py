"""The store knows the configuration, also after it has lost its data."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.store import Store
from rota.scheduler.publisher import Publisher
from tests.support.definitions import job
from tests.support.logbook import Logbook

JOBS = {"gold": [job(every="1h")], "silver": [job("bolt/x", every="1h", group="silver")]}


class Rig:
    """A publisher and what it works on."""

    def __init__(self, store: Store) -> None:
        self.book = Logbook()
        self.catalog = Catalog(store.link)
        self.publisher = Publisher(catalog=self.catalog, log=self.book.log)


@pytest.fixture
def rig(store: Store) -> Rig:
    """Return a publisher on an empty store."""
    return Rig(store)


async def test_published_again(rig: Rig, store: Store) -> None:
    """A store that has lost its data is given all groups and jobs again, and the log says so."""
    await rig.publisher.follow(JOBS)
    await store.link.command("FLUSHALL")
    for _ in range(2):
        await rig.publisher.turn()

    assert ["gold", "silver"] == await rig.catalog.groups()
    assert JOBS["silver"] == await rig.catalog.jobs("silver")
    assert ["gold", "silver"] == [e["group"] for e in rig.book.events("published_again")]


async def test_one_is_missing(rig: Rig) -> None:
    """A group that the store does not know, and that is configured, is published again."""
    await rig.publisher.follow(JOBS)
    await rig.catalog.withdraw(["silver"])
    for _ in range(2):
        await rig.publisher.turn()

    assert ["gold", "silver"] == await rig.catalog.groups()
    assert JOBS["silver"] == await rig.catalog.jobs("silver")
    assert ["silver"] == [entry["group"] for entry in rig.book.events("published_again")]


async def test_group_lost(rig: Rig, store: Store) -> None:
    """A group whose jobs were lost on its server alone is published again, and the log says so."""
    await rig.publisher.follow(JOBS)
    await store.link.command("DEL", keys.jobs("silver"))
    rig.publisher.reopened("silver", 0.0)
    for _ in range(2):
        await rig.publisher.turn()

    assert JOBS["silver"] == await rig.catalog.jobs("silver")
    assert ["silver"] == [entry["group"] for entry in rig.book.events("published_again")]


async def test_reopened_without_loss(rig: Rig) -> None:
    """A group that was reopened and still has its jobs is left alone."""
    await rig.publisher.follow(JOBS)
    for group in JOBS:
        rig.publisher.reopened(group, 0.0)
    await rig.publisher.turn()

    assert [] == rig.book.complaints()


async def test_only_what_differs(rig: Rig, store: Store) -> None:
    """Of a changed configuration nothing is written but the jobs that differ."""
    many = [job(f"acme/j{n}", every="1h") for n in range(50)]
    await rig.publisher.follow({"gold": many, "silver": JOBS["silver"]})
    changed = job("acme/j7", every="2h")
    await store.link.command("CONFIG", "RESETSTAT")
    await rig.publisher.follow({"gold": [*many[1:7], changed, *many[8:]], "silver": JOBS["silver"]})
    stats = await store.link.command("INFO", "commandstats")
    calls = {name: stats[f"cmdstat_{name}"]["calls"] for name in ("hset", "hdel")}

    assert {"hset": 1, "hdel": 1} == calls
    assert "cmdstat_hgetall" not in stats
    assert changed == await rig.catalog.find("acme/j7")
    assert await rig.catalog.find("acme/j0") is None
    assert 49 == len(await rig.catalog.jobs("gold"))


async def test_group_is_gone(rig: Rig) -> None:
    """A group that is no longer configured stays known without jobs: its runs are to end."""
    await rig.publisher.follow(JOBS)
    await rig.publisher.follow({"gold": JOBS["gold"]})
    await rig.publisher.turn()

    assert ["gold", "silver"] == await rig.catalog.groups()
    assert [] == await rig.catalog.jobs("silver")


async def test_what_another_left(rig: Rig, store: Store) -> None:
    """Jobs of groups that a former configuration had are withdrawn by the first that follows."""
    await rig.publisher.follow(JOBS)
    newer = Rig(store)
    await newer.publisher.follow({"iron": []})
    await newer.publisher.turn()

    assert ["gold", "iron", "silver"] == await rig.catalog.groups()
    assert [] == await rig.catalog.jobs("gold") + await rig.catalog.jobs("silver")
    assert [] == newer.book.complaints()


async def test_no_groups(rig: Rig) -> None:
    """A configuration without groups has nothing to publish, again and again."""
    await rig.publisher.follow({})
    await rig.publisher.turn()

    assert [] == rig.book.complaints()
