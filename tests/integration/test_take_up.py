"""A scheduler takes up where the store says that the last one was."""

import pytest

from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.job import Job
from rota.common.store import Store
from rota.scheduler.schedule import due_of
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
