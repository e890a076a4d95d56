"""A scheduler takes up where the store says that the last one was."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rota.common import keys
from rota.common.catalog import Catalog, Slot
from rota.common.clock import SystemClock
from rota.common.job import Job
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler import leader, led_group
from rota.scheduler.applied import Since
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing, standing
from tests.support import builders, probe, schedulers
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.support.schedulers import RARE, REF

NOW_MS = SystemClock().now_ms()
DAY_MS = 86_400_000


async def test_run_in_flight_is_adopted(url: str, store: Store) -> None:
    """A run that a former scheduler sent is not sent again; its end is awaited by the next one."""
    each = job(after="100ms")
    async with schedulers.running(url, each) as first:
        await probe.until(first.enqueued)
    run = await schedulers.claimed(store)
    async with schedulers.running(url, each) as second:
        assert 1 == second.book.events("group_led")[0]["in_flight"]
        assert second.daemon.engine.next_ms(REF) is None
        assert run.job_id == (await schedulers.slot(store)).run

        await builders.complete(store, run)
        await probe.until(second.enqueued)

        assert [run.job_id] == [completion.job_id for completion in second.heard]
        assert [run.job_id] == first.enqueued()
        assert run.job_id not in second.enqueued()


async def test_rate_in_flight_is_adopted(url: str, store: Store) -> None:
    """What is due while a former scheduler's run goes on is skipped, and the log names that run."""
    each = job(every="100ms")
    async with schedulers.running(url, each) as first:
        await probe.until(first.enqueued)
        run = await schedulers.claimed(store)
    async with schedulers.running(url, each) as second:
        await probe.until(lambda: second.book.events("occurrence_skipped"))

        assert [] == second.enqueued()
        assert run.job_id == second.book.events("occurrence_skipped")[0]["running"]

        await builders.complete(store, run)
        await probe.until(second.enqueued)


async def test_end_while_nobody_listened(url: str, store: Store) -> None:
    """A run that ended between two schedulers does not keep its job from going on."""
    each = job(after="100ms")
    async with schedulers.running(url, each) as first:
        await probe.until(first.enqueued)
        run = await schedulers.claimed(store)
    await builders.complete(store, run)
    ended_ms = (await schedulers.slot(store)).ended_ms
    assert ended_ms is not None
    async with schedulers.running(url, each) as second:
        await probe.until(second.enqueued)
        due_ms = (await schedulers.slot(store)).due_ms

    assert ended_ms + 100 == due_ms


@contextmanager
def rivalling(url: str, since: threading.Event) -> Iterator[list[int]]:
    """Try to lead all the time `since`, from a thread of its own; return the terms got."""
    terms: list[int] = []
    over = threading.Event()

    async def ask() -> None:
        since.wait()
        store = Store(Link(url))
        while not over.is_set():
            if term := (await store.lead(GROUP, "rival", 1_000, wanted=True)).term:
                terms.append(term)
            await asyncio.sleep(0.05)
        await store.link.close()

    thread = threading.Thread(target=lambda: asyncio.run(ask()))
    thread.start()
    try:
        yield terms
    finally:
        over.set()
        since.set()
        thread.join()


async def test_many_jobs(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of so many jobs that taking it up outlasts the lease has one leader all the time.

    What is due meanwhile is enqueued in that leader's term, once.
    """
    monkeypatch.setattr(leader, "TTL", 1.8)
    monkeypatch.setattr(leader, "_MARGIN", 0.3)
    taking = threading.Event()

    def slow(job: Job, slot: Slot, now_ms: int, since: Since) -> Standing:
        taking.set()
        time.sleep(0.0015)  # it holds up the event loop, as reckoning does
        return standing(job, slot, now_ms, since)

    monkeypatch.setattr(led_group, "standing", slow)
    due = [job(f"acme/due{n}", every=RARE) for n in range(20)]
    for each in due:
        await store.link.command("HSET", keys.slot(GROUP, each.ref), "due", 1)
    many = [*due, *(job(f"acme/rare{n}", every=RARE) for n in range(2_000))]
    begun = SystemClock().monotonic()
    with rivalling(url, taking) as rival:
        async with schedulers.beside(url, *many) as rig:
            await probe.until(lambda: rig.book.events("group_led"))
            took = SystemClock().monotonic() - begun
            await probe.until(lambda: len(rig.book.events("run_enqueued")) >= 20)
            early = rival.copy()
            sent = {run for each in due for run in rig.enqueued(each.ref)}

            assert took > 1.5 * 1.8
            assert [] == early
            assert [] == [e for e in rig.book.complaints() if e != "handler_unserved"]
            assert 20 == len(sent) == len(rig.book.events("run_enqueued"))
            assert {"acme": 20} == await Catalog(store.link).queued(GROUP)
            assert all(rig.daemon.engine.next_ms(each.ref) for each in many)


@pytest.mark.parametrize("each", [job(cron="@yearly"), job(every=RARE)])
async def test_catches_up_once(url: str, store: Store, each: Job) -> None:
    """After a pause the last missed occurrence is run, once, and then the next that is due."""
    last = due_of(each).last_until(NOW_MS)
    await store.link.command("HSET", keys.slot(GROUP, REF), "due", NOW_MS - 3 * 366 * DAY_MS)
    async with schedulers.running(url, each) as rig:
        await probe.until(rig.enqueued)

        assert last == (await schedulers.slot(store)).due_ms

        await builders.complete(store, await schedulers.claimed(store))
        await probe.until(lambda: rig.heard)

        assert 1 == len(rig.enqueued())
        assert due_of(each).next_after(NOW_MS) == rig.daemon.engine.next_ms(REF)


async def test_nothing_to_catch_up(url: str, store: Store) -> None:
    """A job that never ran, or ran when it was last due, is not run by a mere start."""
    fresh, done = job("acme/fresh", every=RARE), job("acme/done", every=RARE)
    last = due_of(done).last_until(NOW_MS)
    await store.link.command("HSET", keys.slot(GROUP, done.ref), "due", last)
    async with schedulers.running(url, fresh, done, job(after="100ms")) as rig:
        await probe.until(rig.enqueued)  # the start is over, and the engine fires

        assert 1 == len(rig.book.events("run_enqueued"))
        assert due_of(fresh).next_after(NOW_MS) == rig.daemon.engine.next_ms(fresh.ref)
