"""The store knows the configuration, also after it has lost its data."""

import pytest

from rota.common.catalog import Catalog
from rota.common.store import Store
from rota.scheduler.publisher import Publisher
from tests.support.definitions import job
from tests.support.logbook import Logbook

JOBS = {"gold": [job(every="1h")], "silver": [job("bolt/x", every="1h", group="silver")]}


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


async def test_no_groups(store: Store) -> None:
    """A configuration without groups has nothing to publish, again and again."""
    book = Logbook()
    empty = Publisher(jobs={}, catalog=Catalog(store.link), log=book.log)
    await empty.publish()
    await empty.turn()

    assert [] == book.complaints()
