"""What no worker serves is told once when that begins and once when it ends."""

import pytest

from rota.common.catalog import Catalog
from rota.common.registration import Registration
from rota.common.store import Store
from rota.scheduler.watcher import Watcher
from tests.support import builders
from tests.support.builders import GROUP, WORKER
from tests.support.definitions import job
from tests.support.logbook import Logbook

JOBS = [
    job("acme/import", every="1h", handler="orders.import"),
    job("bolt/import", every="1h", handler="orders.import"),
    job("acme/mail", every="1h", handler="mail.send"),
    job("silva/mail", every="1h", handler="mail.send", group="silver"),
]


class Rig:
    """A watcher over `JOBS`, and what it tells."""

    def __init__(self, store: Store) -> None:
        self.book = Logbook()
        self.watcher = Watcher(catalog=Catalog(store.link), log=self.book.log)
        self.watcher.follow(JOBS)

    def told(self, event: str) -> list[tuple[str, str, int]]:
        """Return group, handler and number of jobs of each event of that name."""
        return [(e["group"], e["handler"], e["jobs"]) for e in self.book.events(event)]


@pytest.fixture
def rig(store: Store) -> Rig:
    """Return a watcher on an empty store."""
    return Rig(store)


async def test_nobody_serves(rig: Rig) -> None:
    """Workers get a moment to register; then each handler is told, once for each group."""
    await rig.watcher.turn()

    assert [] == rig.told("handler_unserved")

    for _ in range(3):
        await rig.watcher.turn()

    assert [
        (GROUP, "mail.send", 1),
        (GROUP, "orders.import", 2),
        ("silver", "mail.send", 1),
    ] == rig.told("handler_unserved")
    assert [] == rig.told("handler_served")


async def test_served_later(rig: Rig, store: Store) -> None:
    """What a worker begins to serve is told once; what is not served is not told again."""
    for _ in range(2):
        await rig.watcher.turn()
    await builders.register(store, WORKER, "orders.import")
    for _ in range(2):
        await rig.watcher.turn()

    assert [(GROUP, "orders.import", 2)] == rig.told("handler_served")
    assert 3 == len(rig.told("handler_unserved"))


async def test_gone_again(rig: Rig, store: Store) -> None:
    """A handler whose last worker has gone is told again; another worker does as well."""
    for worker in ("w1", "w2"):
        await builders.register(store, worker, "orders.import", "mail.send")
    await rig.watcher.turn()
    gold = Registration(store)
    await gold.unregister(builders.worker_info("w1"))
    await rig.watcher.turn()

    assert [("silver", "mail.send", 1)] == rig.told("handler_unserved")

    await gold.unregister(builders.worker_info("w2"))
    await rig.watcher.turn()

    assert [(GROUP, "mail.send", 1), (GROUP, "orders.import", 2)] == rig.told("handler_unserved")[
        1:
    ]


async def test_some_are_served(rig: Rig, store: Store) -> None:
    """Once a group has a worker, what that one does not serve is told at once."""
    await builders.register(store, WORKER, "orders.import")
    await rig.watcher.turn()

    assert [(GROUP, "mail.send", 1)] == rig.told("handler_unserved")


async def test_all_is_served(rig: Rig, store: Store) -> None:
    """Where all is served nothing is told."""
    await builders.register(
        store, WORKER, "orders.import", "mail.send", "more", groups=(GROUP, "silver")
    )
    for _ in range(3):
        await rig.watcher.turn()

    assert [] == rig.told("handler_unserved") + rig.told("handler_served")


async def test_other_jobs(rig: Rig) -> None:
    """What is told goes with the jobs: what stays is not told again, what comes is, once."""
    for _ in range(2):
        await rig.watcher.turn()
    rig.watcher.follow([*JOBS[:2], job("acme/tidy", every="1h", handler="db.tidy")])
    for _ in range(2):
        await rig.watcher.turn()

    assert [(GROUP, "db.tidy", 1)] == rig.told("handler_unserved")[3:]
