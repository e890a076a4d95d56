"""A store that lost writes: live workers bring back what they hold and did, schedulers the rest."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler import leader
from rota.worker import Context, Jobs
from rota.worker.daemon import WorkerDaemon
from tests.support import backup, builders, probe, schedulers, topologies, workers
from tests.support.backup import Backup
from tests.support.builders import GROUP, HANDLER
from tests.support.definitions import job
from tests.support.logbook import Logbook
from tests.support.schedulers import GATE_MS, RARE

LEASE_MS = 900  # two renewals fit into the gate
QUICK, SLOW = HANDLER, "orders.slow"


class Desk:
    """Jobs of which some end at once and some when the test says so, and what was called."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.open = asyncio.Event()
        self.begun: list[str] = []  # job_ids
        self.ended: list[str] = []
        self.book = Logbook()
        self.jobs.handler(QUICK)(self._quick)
        self.jobs.handler(SLOW)(self._slow)

    async def _quick(self, ctx: Context) -> None:
        self.begun.append(ctx.job_id)
        self.ended.append(ctx.job_id)

    async def _slow(self, ctx: Context) -> None:
        self.begun.append(ctx.job_id)
        await self.open.wait()
        self.ended.append(ctx.job_id)

    @asynccontextmanager
    async def serving(
        self, url: str, concurrency: int = 8, groups: Sequence[str] = (GROUP,)
    ) -> AsyncIterator[WorkerDaemon]:
        """Run a worker."""
        async with workers.working(
            url,
            self.jobs,
            lease_ms=LEASE_MS,
            gate_ms=GATE_MS,
            concurrency=concurrency,
            groups=list(groups),
            log=self.book.log,
        ) as daemon:
            yield daemon

    def enough(self, count: int) -> bool:
        """Tell whether so many runs have ended."""
        return len(self.ended) >= count

    async def ends(self, *run_ids: str) -> None:
        """Return when these runs have ended."""
        await probe.until(lambda: set(run_ids) <= set(self.ended))


@pytest.fixture
def server() -> Iterator[EmbeddedStore]:
    """Return a server of our own."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture
def store(url: str, runner: asyncio.Runner) -> Iterator[Store]:
    """Return its store, for one who asks for no longer gate than the services do."""
    store = Store(Link(url, gate_ms=GATE_MS))
    yield store
    runner.run(store.link.close())


async def roll_back(store: Store, saved: Backup) -> None:
    """Make the store what it was, as a replica does that is promoted without the last writes."""
    restored = [("RESTORE", name, ms, value) for name, ms, value in saved]
    change = ("HSET", keys.root(GROUP), "server", "0" * 40)
    await store.link.pipeline([("MULTI",), ("FLUSHALL",), *restored, change, ("EXEC",)])


async def reopened(desk: Desk) -> None:
    """Return when the worker has noticed, and the gate is closed again."""
    await probe.until(lambda: desk.book.events("store_reopened"))
    await asyncio.sleep(GATE_MS / 1000)  # the gate is open for so long, whatever happens


async def test_an_idle_worker_tells_all_groups(server: EmbeddedStore, store: Store) -> None:
    """A worker with nothing to do speaks to each of its groups while the gate is still open."""
    desk, groups = Desk(), [f"group-{n}" for n in range(5)]
    async with (
        desk.serving(server.url, groups=groups),
        topologies.opened(server.url, GATE_MS) as other,
    ):
        await asyncio.gather(*map(other.sweep, groups))
        await workers.idle(store, len(groups))
        server.stop()
        server.start()
        await asyncio.gather(*map(other.sweep, groups))  # opens the gates
        await probe.until(lambda: len(desk.book.events("store_reopened")) == len(groups))
        heard = desk.book.events("store_reopened")

    assert all(event["gate_s"] > 0 for event in heard)


@pytest.mark.parametrize("lost", ["all", "the claim"])
async def test_a_running_handler_goes_on(server: EmbeddedStore, store: Store, lost: str) -> None:
    """A handler that runs is not disturbed, its completion is accepted, it is not called again."""
    desk, run = Desk(), workers.run_of("long", handler=SLOW)
    await builders.enqueue(store, run)
    saved = await backup.take(store.link)
    async with desk.serving(server.url):
        await probe.until(lambda: desk.begun)
        if lost == "all":
            server.stop()
            server.start()
        else:
            await roll_back(store, saved)
        await reopened(desk)
        await asyncio.sleep(LEASE_MS / 1000)  # so long that only renewals can have kept it
        held = await workers.lease_end(store, run)
        desk.open.set()
        (told,) = await workers.told(store, 1)

    assert held > 0
    assert ("succeeded", run.job_id, 1) == (told.outcome, told.job_id, told.attempt)
    assert [run.job_id] == desk.begun == desk.ended
    assert "lease_lost" not in desk.book.complaints()
    assert [] == desk.book.events("completion_refused")


async def test_a_full_worker_tells_what_it_did(server: EmbeddedStore, store: Store) -> None:
    """What ended is not called again, though its worker has no place to ask the store for more."""
    desk = Desk()
    done, long = workers.run_of("done"), workers.run_of("long", handler=SLOW)
    await builders.enqueue(store, done)
    saved = await backup.take(store.link)
    async with desk.serving(server.url, concurrency=1):
        await workers.told(store, 1)
        await builders.enqueue(store, long)
        await probe.until(lambda: long.job_id in desk.begun)
        await roll_back(store, saved)
        await reopened(desk)
        state = await builders.state_of(store, done.job_id)
        desk.open.set()
        await desk.ends(long.job_id)
        told = await workers.told(store, 2)

    assert state is None
    assert [done.job_id, long.job_id] == desk.begun
    assert {done.job_id, long.job_id} == {each.job_id for each in told}


@pytest.mark.parametrize("count", [1, 600])
async def test_what_ended_lately_is_not_called_again(
    server: EmbeddedStore, store: Store, count: int
) -> None:
    """Completions that the store has lost are told once more, and their runs stay over."""
    desk, runs = Desk(), workers.runs_of(count)
    await builders.enqueue(store, *runs)
    saved = await backup.take(store.link)
    async with desk.serving(server.url):
        await workers.told(store, count)
        await roll_back(store, saved)
        await reopened(desk)
        fresh = workers.run_of("fresh")
        await builders.enqueue(store, fresh)
        await desk.ends(fresh.job_id)
        told = await workers.told(store, count + 1)

    assert count + 1 == len(desk.begun) == len(told) == len(set(desk.begun))


@pytest.mark.parametrize("away", [0.0, 2.0])
async def test_a_queued_run_is_sent_again(
    server: EmbeddedStore, store: Store, monkeypatch: pytest.MonkeyPatch, away: float
) -> None:
    """A run that was lost with the store is sent again, even after an outage that cost the lead."""
    monkeypatch.setattr(leader, "TTL", 1.2)
    monkeypatch.setattr(leader, "_MARGIN", 0.4)
    desk = Desk()
    await store.link.command("HSET", keys.slot(GROUP, "acme/import"), "due", 1)
    async with schedulers.running(server.url, job(every=RARE), job("acme/x", after="1h")) as rig:
        await probe.until(rig.enqueued)
        (lost,) = rig.enqueued()
        server.stop()
        await asyncio.sleep(away)
        server.start()
        await probe.until(lambda: len(rig.enqueued()) == 2)
        lost_lead = [e for e in rig.book.events("group_lost") if "reached" in e["reason"]]
        async with desk.serving(server.url):
            await desk.ends(lost)
            await probe.until(lambda: rig.heard)

    assert [lost, lost] == rig.enqueued()
    assert [lost] == desk.begun
    assert bool(away) == bool(lost_lead)


async def test_nothing_is_lost_and_nothing_doubled(server: EmbeddedStore) -> None:
    """Scheduler and worker over two empty restarts: all that was sent was called once."""
    desk = Desk()
    jobs = [job(f"t{n}/rate", every="100ms") for n in range(10)]
    jobs += [job(f"t{n}/delay", after="70ms") for n in range(10)]
    jobs += [job("acme/long", every="100ms", handler=SLOW)]
    async with desk.serving(server.url), schedulers.running(server.url, *jobs) as rig:
        for n in range(2):
            await probe.until(partial(desk.enough, 100 * (n + 1)))
            server.stop()
            await probe.until(lambda: rig.book.events("store_lost"))
            server.start()
        await probe.until(lambda: len(desk.ended) > 300)
        desk.open.set()
        await desk.ends(*rig.enqueued("acme/long")[:1])
        count = len(desk.ended)
        await probe.until(lambda: len(desk.ended) > count + 50)
        sent = {e["job_id"] for e in rig.book.events("run_enqueued")}
        rig.daemon.engine.stop()
        await desk.ends(*sent)

    assert len(set(desk.begun)) == len(desk.begun)
    assert sent <= set(desk.ended)


async def test_a_run_in_flight_is_awaited_on(server: EmbeddedStore, store: Store) -> None:
    """A run in flight when the store rolls back is awaited on; its end frees its job."""
    desk = Desk()
    async with desk.serving(server.url):
        each = job("acme/long", after="100ms", handler=SLOW)
        async with schedulers.running(server.url, each) as rig:
            before = await backup.take(store.link)
            await probe.until(lambda: desk.begun)
            await roll_back(store, before)
            await reopened(desk)
            desk.open.set()
            await probe.until(lambda: len(desk.ended) > 3)

            assert len(set(desk.begun)) == len(desk.begun)
            assert desk.begun[0] == rig.enqueued("acme/long")[0]


async def test_the_end_of_the_gate_is_told(server: EmbeddedStore, store: Store) -> None:
    """Who leads a group says once when its store opened the gate, and once when that has closed."""
    async with schedulers.running(server.url, job("acme/import", every=RARE)) as rig:
        before = await backup.take(store.link)
        await roll_back(store, before)
        await probe.until(lambda: rig.book.events("gate_closed"))
        left_ms = (await Catalog(store.link).leadership(GROUP)).gate_ms
        (told,) = rig.book.events("gate_closed")

    assert 1 == len(rig.book.events("store_reopened"))
    assert (GROUP, "info") == (told["group"], told["log_level"])
    assert left_ms < GATE_MS / 5
