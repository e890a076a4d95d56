"""A cluster of which one master takes commands and answers none: the other groups don't wait."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.errors import StoreUnavailable
from rota.common.job import job_id
from rota.common.ledger import Note
from rota.common.run import Occurrence
from rota.common.store import GATED, Store
from rota.scheduler import trigger
from rota.scheduler.awaited import Awaited
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.line import Turn
from rota.worker import Context
from tests.chaos.server import ask
from tests.support import definitions, probe, workers
from tests.support.builders import DUE_MS
from tests.support.clusters import Cluster, group_on
from tests.support.gate import Gate
from tests.support.logbook import Logbook
from tests.support.topologies import opened

HIT, SPARED, OTHER = map(group_on, range(3))
PROMPTLY = 2.0  # seconds: far less than a reply is waited for, though the machine be busy
SPELL = 7.0  # seconds: longer than a reply is waited for, so that what follows is seen, too
_REOPENED = 30.0  # seconds until a server is followed, and its gate has closed
_CLOCK = SystemClock()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Return a cluster of its own, that will lose a master."""
    with Cluster() as started:
        yield started


async def hang(cluster: Cluster, group: str) -> None:
    """Freeze the master of `group`, and its replica, which would take over."""
    master = await cluster.owner(keys.root(group))
    ((_, port, _),) = (await ask(master.port, "ROLE"))[2]
    replica = next(server for server in cluster.servers if server.port == int(port))
    for server in (replica, master):
        await cluster.freeze(server)


class Deaf:
    """Does not mind what the store answers."""

    def accepted(self, ref: str, due_ms: int) -> None:
        """Do nothing."""

    def refused(self, ref: str, due_ms: int, run_id: str) -> None:
        """Do nothing."""

    def over(self, ref: str, due_ms: int) -> None:
        """Do nothing."""

    def noted(self, note: Note, cursor_ms: int | None = None) -> None:
        """Do nothing."""


class Outbox:
    """A dispatcher of groups on all masters."""

    def __init__(self, store: Store) -> None:
        self.awaited = Awaited()
        self.book = Logbook()
        self.loop = Dispatcher(
            store=store,
            awaited=self.awaited,
            answered=Deaf,
            terms=dict,
            clock=_CLOCK,
            log=self.book.log,
        )
        self._fired = 0

    async def send(self, group: str) -> float:
        """Fire a new job of `group`; return after how many seconds the store had its run."""
        began, ref = _CLOCK.monotonic(), self.fire(group)
        await probe.until(lambda: self.awaited.job_id(ref))
        return _CLOCK.monotonic() - began

    def fire(self, group: str) -> str:
        """Fire a new job of `group`; return its TENANT/JOB."""
        self._fired += 1
        job = definitions.job(f"acme/job-{self._fired}", every="1h", group=group, overlap="cancel")
        self.loop.fire(job, Turn(DUE_MS))
        return job.ref


async def test_occurrences(cluster: Cluster) -> None:
    """What is due goes out at once where a server answers; what waits is sent when it can be."""
    async with opened(cluster.url, gate_ms=1) as store:
        outbox = Outbox(store)
        await outbox.loop.start()
        for group in (HIT, SPARED, OTHER):
            await outbox.send(group)
        superseded = definitions.job("acme/job-1", every="1h", group=HIT, overlap="cancel")
        await hang(cluster, HIT)
        outbox.loop.cancel(superseded, job_id(superseded.ref, DUE_MS))
        waiting = [outbox.fire(HIT) for _ in range(3)]
        end, slowest = _CLOCK.monotonic() + SPELL, 0.0
        while _CLOCK.monotonic() < end:
            slowest = max(slowest, await outbox.send(SPARED), await outbox.send(OTHER))
        sent = [ref for ref in waiting if outbox.awaited.job_id(ref)]
        cluster.thaw()
        await probe.until(lambda: all(map(outbox.awaited.job_id, waiting)))
        await probe.until(lambda: not outbox.loop._doomed)
        await outbox.loop.stop()

    assert [] == sent
    assert slowest < PROMPTLY


async def test_runs(cluster: Cluster) -> None:
    """Runs of other groups are carried out as ever, in a single place too; leases are kept."""
    gate, away = Gate(), asyncio.Event()
    gate.jobs.handler("quick")(_quick)

    async def until_away(ctx: Context) -> None:
        await away.wait()

    gate.jobs.handler("until_away")(until_away)
    held = workers.run_of("held")
    chosen: dict[str, Any] = {
        "groups": [HIT, SPARED],
        "concurrency": 2,
        "lease_ms": 4_000,
        "grace": 0.1,
    }
    async with (
        opened(cluster.url) as store,
        workers.working(cluster.url, gate.jobs, **chosen),
    ):
        await store.enqueue({SPARED: [held]})
        await gate.begins()
        first = await workers.leased(store, held, SPARED)
        await probe.found(lambda: _renewed(store, held, first))
        early = workers.run_of("early", handler="until_away")
        await store.enqueue({HIT: [early]})
        await workers.leased(store, early, HIT)
        await store.enqueue({HIT: [workers.run_of("late", handler="quick")]})
        await hang(cluster, HIT)
        away.set()  # what has ended can't be reported for a while, nor can the next be claimed
        end, slowest, count = _CLOCK.monotonic() + SPELL, 0.0, 0
        while _CLOCK.monotonic() < end:
            count += 1
            run = workers.run_of(f"job-{count}", handler="quick")
            slowest = max(slowest, await _carried_out(store, SPARED, run))
        cancelled = list(gate.cancelled_ms)
        lease = await workers.lease_end(store, held, SPARED) - _CLOCK.now_ms()
        cluster.thaw()
        told = await workers.told(store, 2, HIT, _REOPENED)
        gate.open.set()

    assert slowest < PROMPTLY
    assert [] == cancelled
    assert 4_000 / 3 < lease <= 4_000
    assert ["early", "late"] == sorted(each.job for each in told)


async def test_last_report(cluster: Cluster) -> None:
    """A worker that stops waits for a server that is slow to take its last report."""
    gate = Gate()
    async with opened(cluster.url) as store:
        async with workers.working(cluster.url, gate.jobs, groups=[HIT, SPARED]) as worker:
            await store.enqueue({HIT: [workers.run_of()]})
            await gate.begins()
            await hang(cluster, HIT)
            gate.open.set()
            asyncio.get_running_loop().call_later(0.7, cluster.thaw)
            await worker.stop()
        (told,) = await workers.told(store, 1, HIT)

    assert ("succeeded", 1) == (told.outcome, told.attempt)


async def test_trigger(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who triggers a job whose server hangs is told that the store can't be reached."""
    monkeypatch.setattr("rota.common.link.server.REPLY_TIMEOUT", 1.0)  # as we wait for it
    async with opened(cluster.url) as store:
        await hang(cluster, HIT)
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            await trigger.trigger(definitions.job(every="1h", group=HIT), store=store, clock=_CLOCK)


async def _carried_out(store: Store, group: str, run: Occurrence) -> float:
    """Enqueue a run as soon as the store takes it; return after how long it is carried out."""
    began = _CLOCK.monotonic()
    await probe.found(lambda: _accepted(store, group, run), _REOPENED)

    async def over() -> bool:
        return run.job_id in {each.job_id for each in await workers.completions(store, group)}

    await probe.found(over)
    return _CLOCK.monotonic() - began


async def _accepted(store: Store, group: str, run: Occurrence) -> bool:
    try:
        return GATED != (await store.enqueue({group: [run]}))[group][0][0]
    except StoreUnavailable:
        return False


async def _renewed(store: Store, run: Occurrence, since: float) -> bool:
    return await workers.lease_end(store, run, SPARED) > since


async def _quick(ctx: Context) -> None:
    pass
