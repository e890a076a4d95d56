"""The registrar: the store knows the worker as long as it lives, in all groups that it serves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits
from rota.common.registration import Registration
from rota.common.run import Claimed
from rota.common.store import Store
from rota.common.worker_info import WorkerInfo
from rota.worker import registrar
from rota.worker.held import HeldRun, HeldRuns
from rota.worker.registrar import Registrar
from tests.support import builders, probe, workers
from tests.support.builders import DUE_MS, GROUP, WORKER
from tests.support.logbook import Logbook


class Office:
    """A registrar, and what it works with."""

    def __init__(self, store: Store, *groups: str) -> None:
        self.logbook = Logbook()
        self.served: list[str] = []
        self.weights: dict[str, float] = {}
        self.held = HeldRuns()
        self.counts: Counter[str] = Counter()
        self.registrar = Registrar(
            info=builders.worker_info(groups=groups),
            catalog=Catalog(store.link),
            registration=Registration(store),
            held=self.held,
            counts=self.counts,
            serve=self._serve,
            weigh=self.weights.update,
            log=self.logbook.log,
        )

    async def _serve(self, group: str) -> None:
        if group not in self.served:
            self.served.append(group)


@asynccontextmanager
async def keeping(store: Store, *groups: str) -> AsyncIterator[Office]:
    """Return a registrar that runs; for all groups if none is named."""
    office = Office(store, *groups)
    await office.registrar.start()
    try:
        yield office
    finally:
        await office.registrar.stop()


async def known(store: Store, group: str = GROUP) -> list[WorkerInfo]:
    """Return the workers that are registered in a group."""
    return await Catalog(store.link).workers(group)


async def appears(store: Store, group: str = GROUP) -> WorkerInfo:
    """Return the worker as soon as it is registered."""
    (info,) = await probe.found(lambda: known(store, group))
    return info


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the periods short."""
    monkeypatch.setattr(registrar, "_PERIOD", 0.05)
    monkeypatch.setattr(registrar, "_HURRY", 0.02)


async def test_registers(store: Store) -> None:
    """A worker tells who it is and which handlers it serves, to whom, and for how long."""
    async with keeping(store, "gold", "silver"):
        infos = [await appears(store, group) for group in ("gold", "silver")]
        served = await store.link.command("SMEMBERS", keys.handlers("gold", WORKER))
        lives = await store.link.command("PTTL", keys.worker("gold", WORKER))

    assert [["gold", "silver"]] * 2 == [info.groups for info in infos]
    assert {b"orders.import"} == set(served)
    assert 29_000 < lives <= 30_000


async def test_fixed_groups(store: Store) -> None:
    """A worker that was given groups serves those from the start, known or not, and no others."""
    await Catalog(store.link).publish("bronze", [])
    async with keeping(store, "gold", "silver") as office:
        await appears(store, "silver")
        await probe.until(lambda: len(office.served) == 2)

        assert ["gold", "silver"] == office.served
        assert [] == await known(store, "bronze")


async def test_finds_groups(store: Store) -> None:
    """A worker that was given no groups serves each one soon after it is made known."""
    catalog = Catalog(store.link)
    async with keeping(store) as office:
        await catalog.publish("gold", [])
        await appears(store, "gold")
        await catalog.publish("silver", [])
        await appears(store, "silver")
        await probe.until(lambda: office.served == ["gold", "silver"])


async def test_withdrawn_group(store: Store) -> None:
    """A group that was withdrawn is served as long as the worker lives: it may hold runs yet."""
    catalog = Catalog(store.link)
    async with keeping(store) as office:
        await catalog.publish("gold", [])
        await catalog.publish("silver", [])
        await probe.until(lambda: office.served == ["gold", "silver"])
        await catalog.withdraw(["silver"])
        await store.link.command("DEL", keys.worker("silver", WORKER))
        await appears(store, "silver")


async def test_forgotten(store: Store) -> None:
    """A store that has lost everything knows the worker again by itself, in the same groups."""
    await Catalog(store.link).publish("gold", [])
    async with keeping(store):
        await appears(store)
        await store.link.command("FLUSHALL")
        info = await appears(store)

    assert ["gold"] == info.groups


async def test_unknown_groups_are_told(store: Store) -> None:
    """Of the groups that it is to serve, those that nobody has published are told once."""
    await Catalog(store.link).publish("gold", [])
    async with keeping(store, "gold", "glod", "new") as office:
        await appears(store, "glod")
        for _ in range(2):
            await store.link.command("FLUSHALL")
            await appears(store, "glod")
        (told,) = office.logbook.events("groups_unknown")

    assert ["glod", "new"] == told["groups"]
    assert "warning" == told["log_level"]
    assert {"gold", "glod", "new"} == set(office.served)


@pytest.mark.parametrize("groups", [(), ("gold",)])
async def test_known_groups_are_not_told(store: Store, groups: tuple[str, ...]) -> None:
    """Whose groups are known, or who takes all that come, hears no warning."""
    await Catalog(store.link).publish("gold", [])
    async with keeping(store, *groups) as office:
        await appears(store)

    assert [] == office.logbook.complaints()


async def test_registers_when_asked(store: Store) -> None:
    """A worker that the store does not know can register at once, in the groups that it has."""
    office = Office(store, "gold")
    await office.registrar.register()

    assert ["gold"] == (await appears(store)).groups


async def test_running(store: Store) -> None:
    """A registration tells how many runs the worker holds."""
    async with keeping(store, "gold") as office:
        run = Claimed(GROUP, "acme/import:1", 1, 1, DUE_MS, b"")
        office.held.add(HeldRun(run, 0, 0, 0, 0))

        async def told() -> bool:
            return 1 == (await appears(store)).running

        await probe.found(told)


async def test_leaves(store: Store) -> None:
    """A worker that stops is not listed any more; stopping twice is harmless."""
    async with keeping(store, "gold") as office:
        await appears(store)
        await office.registrar.stop()
        left = await known(store)
        served = await store.link.command("EXISTS", keys.handlers(GROUP, WORKER))

    assert [] == left
    assert 0 == served


async def test_tells_what_was_done(store: Store) -> None:
    """The log says how many runs ended since it last said so, and says nothing if none did."""
    async with keeping(store, "gold") as office:
        office.counts["succeeded"] += 3
        await probe.until(lambda: len(office.logbook.events("runs_done")) == 1)
        office.counts["succeeded"] += 2
        office.counts["dead"] += 1
        await probe.until(lambda: len(office.logbook.events("runs_done")) == 2)
        office.counts["lost"] += 1
        await probe.until(lambda: len(office.logbook.events("runs_done")) == 3)
        first, second, third = office.logbook.events("runs_done")

    assert 3 == first["succeeded"]
    assert (2, 1) == (second["succeeded"], second["dead"])
    assert 1 == third["lost"]
    assert not {"succeeded", "dead"} & third.keys()


@pytest.mark.parametrize("steps", range(0, 40, 4))
async def test_stops_at_any_moment(store: Store, steps: int) -> None:
    """Whenever it is stopped, the worker is not listed afterwards."""
    office = Office(store, "gold")
    await office.registrar.start()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(workers.PROMPTLY):
        await office.registrar.stop()

    assert [] == await known(store)
    assert not office.registrar.failed.is_set()


async def test_weights(store: Store) -> None:
    """The worker learns the weights of its groups, also if they change."""
    await Limiter(store).limit(GROUP, GroupLimits(weight=2.5))
    async with keeping(store, GROUP, "other") as office:
        await probe.until(lambda: office.weights)
        assert {GROUP: 2.5, "other": 1.0} == office.weights
        await Limiter(store).limit(GROUP, GroupLimits(weight=4))
        office.registrar.wake()
        await probe.until(lambda: office.weights[GROUP] == 4)
