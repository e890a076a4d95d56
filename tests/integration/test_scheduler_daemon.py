"""The scheduler as a whole: it takes up where the store says it was, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rota.common import keys, scripts
from rota.common.catalog import Catalog, Slot
from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore
from rota.common.errors import StoreUnavailable
from rota.common.job import Job
from rota.common.link import Call, Link
from rota.common.message import Completion
from rota.common.state import Operation
from rota.common.store import Claimed, Store
from rota.scheduler import auditor, sweeper, watcher
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.schedule import due_of
from tests.support import builders, probe, workers
from tests.support.builders import GROUP
from tests.support.definitions import config, job
from tests.support.logbook import Logbook

REF = "acme/import"
NOW_MS = SystemClock().now_ms()
DAY_MS = 86_400_000
RARE = "366d"  # a period so long that nothing is due by itself while a test lasts


class Rig:
    """A running scheduler, what it logged and what it heard."""

    def __init__(self, url: str, jobs: Sequence[Job], groups: tuple[str, ...] = ()) -> None:
        self.book = Logbook()
        self.heard: list[Completion] = []
        self.daemon = SchedulerDaemon(
            url,
            config(*jobs, groups=groups),
            log=self.book.log,
            heard=lambda group, completion, at_ms: self.heard.append(completion),
            gate_ms=500,
        )

    async def leads(self) -> None:
        """Return when it leads all its groups."""
        count = self.book.events("scheduler_started")[0]["groups"]
        await probe.until(lambda: len(self.book.events("group_led")) == count, workers.PROMPTLY)

    def enqueued(self, ref: str = REF) -> list[str]:
        """Return the job_ids that it enqueued for TENANT/JOB."""
        ids = [entry["job_id"] for entry in self.book.events("run_enqueued")]
        return [job_id for job_id in ids if job_id.startswith(f"{ref}:")]


@asynccontextmanager
async def running(url: str, *jobs: Job, groups: tuple[str, ...] = ()) -> AsyncIterator[Rig]:
    """Run a scheduler; it is stopped at the end."""
    rig = Rig(url, jobs, groups)
    await rig.daemon.start()
    try:
        await rig.leads()
        yield rig
    finally:
        await rig.daemon.stop()


async def slot(store: Store, ref: str = REF, group: str = GROUP) -> Slot:
    """Return what the store remembers of a job."""
    return (await Catalog(store.link).slots(group, [ref]))[0]


async def claimed(store: Store, group: str = GROUP) -> Claimed:
    """Return a run for the worker `w1`, as soon as one is there."""
    await builders.register(store, groups=(group,))

    async def claim() -> list[Claimed]:
        return (await builders.claim(store, group=group)).runs

    return (await probe.found(claim))[0]


async def test_publishes(url: str, store: Store) -> None:
    """After the start the store knows the groups, also those without tenants, and their jobs."""
    jobs = [job(every=RARE), job("acme/mail", after=RARE), job("bolt/x", cron="@yearly", group="b")]
    async with running(url, *jobs, groups=("empty",)) as rig:
        catalog = Catalog(store.link)

        assert ["b", "empty", GROUP] == await catalog.groups()
        assert [jobs[0], jobs[1]] == await catalog.jobs(GROUP)
        assert [jobs[2]] == await catalog.jobs("b")

        (started,) = rig.book.events("scheduler_started")

        assert (3, 2, 3) == tuple(started[name] for name in ("groups", "tenants", "jobs"))


async def test_withdraws(url: str, store: Store) -> None:
    """What the configuration no longer has the store no longer knows; what changed is changed."""
    async with running(url, job(every=RARE), job("acme/old", every=RARE), groups=("gone",)):
        pass
    changed = job(every="100d", args={"source": "web"})
    async with running(url, changed):
        catalog = Catalog(store.link)

        assert [GROUP] == await catalog.groups()
        assert [changed] == await catalog.jobs(GROUP)
        assert [] == await catalog.jobs("gone")
        assert await catalog.find("acme/old") is None


async def test_run_in_flight_is_adopted(url: str, store: Store) -> None:
    """A run that a former scheduler sent is not sent again; its end is awaited by the next one."""
    each = job(after="100ms")
    async with running(url, each) as first:
        await probe.until(first.enqueued)
    run = await claimed(store)
    async with running(url, each) as second:
        assert 1 == second.book.events("group_led")[0]["in_flight"]
        assert second.daemon.engine.next_ms(REF) is None
        assert run.job_id == (await slot(store)).run

        await builders.complete(store, run)
        await probe.until(second.enqueued)

        assert [run.job_id] == [completion.job_id for completion in second.heard]
        assert [run.job_id] == first.enqueued()
        assert run.job_id not in second.enqueued()


async def test_rate_in_flight_is_adopted(url: str, store: Store) -> None:
    """What is due while a former scheduler's run goes on is skipped, and the log names that run."""
    each = job(every="100ms")
    async with running(url, each) as first:
        await probe.until(first.enqueued)
        run = await claimed(store)
    async with running(url, each) as second:
        await probe.until(lambda: second.book.events("occurrence_skipped"))

        assert [] == second.enqueued()
        assert run.job_id == second.book.events("occurrence_skipped")[0]["running"]

        await builders.complete(store, run)
        await probe.until(second.enqueued)


async def test_end_while_nobody_listened(url: str, store: Store) -> None:
    """A run that ended between two schedulers does not keep its job from going on."""
    each = job(after="100ms")
    async with running(url, each) as first:
        await probe.until(first.enqueued)
        run = await claimed(store)
    await builders.complete(store, run)
    ended_ms = (await slot(store)).ended_ms
    assert ended_ms is not None
    async with running(url, each) as second:
        await probe.until(second.enqueued)
        due_ms = (await slot(store)).due_ms

    assert ended_ms + 100 == due_ms


@pytest.mark.parametrize("each", [job(cron="@yearly"), job(every=RARE)])
async def test_catches_up_once(url: str, store: Store, each: Job) -> None:
    """After a pause the last missed occurrence is run, once, and then the next that is due."""
    last = due_of(each).last_until(NOW_MS)
    await store.link.command("HSET", keys.slot(GROUP, REF), "due", NOW_MS - 3 * 366 * DAY_MS)
    async with running(url, each) as rig:
        await probe.until(rig.enqueued)

        assert last == (await slot(store)).due_ms

        await builders.complete(store, await claimed(store))
        await probe.until(lambda: rig.heard)

        assert 1 == len(rig.enqueued())
        assert due_of(each).next_after(NOW_MS) == rig.daemon.engine.next_ms(REF)


async def test_nothing_to_catch_up(url: str, store: Store) -> None:
    """A job that never ran, or ran when it was last due, is not run by a mere start."""
    fresh, done = job("acme/fresh", every=RARE), job("acme/done", every=RARE)
    last = due_of(done).last_until(NOW_MS)
    await store.link.command("HSET", keys.slot(GROUP, done.ref), "due", last)
    async with running(url, fresh, done, job(after="100ms")) as rig:
        await probe.until(rig.enqueued)  # the start is over, and the engine fires

        assert 1 == len(rig.book.events("run_enqueued"))
        assert due_of(fresh).next_after(NOW_MS) == rig.daemon.engine.next_ms(fresh.ref)


async def complete_unheard(store: Store, run: Claimed) -> None:
    """Complete a run and delete its completion from the stream before anybody can read it."""
    text, sha = scripts.script(Operation.COMPLETE)
    ended = builders.ended(run)
    args = (0, run.job_id, run.fence, run.due_ms, ended.outcome, ended.completion, b"")
    *_, ((_, _, *words), _) = await store.link.pipeline(
        [
            ("SCRIPT", "LOAD", text),
            ("MULTI",),
            ("EVALSHA", sha, 1, keys.root(GROUP), *args),
            ("XTRIM", keys.done(GROUP), "MAXLEN", 0),
            ("EXEC",),
        ]
    )
    assert [b"completed"] == words


@pytest.mark.parametrize("each", [job(every="100ms"), job(after="100ms")])
async def test_lost_completion(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, each: Job
) -> None:
    """A job whose completion was lost is freed by the auditor, and goes on."""
    monkeypatch.setattr(auditor, "_PERIOD", 0.2)
    async with running(url, each) as rig:
        run = await claimed(store)
        await complete_unheard(store, run)
        await probe.until(lambda: len(rig.enqueued()) == 2)

        assert [run.job_id] == [e["job_id"] for e in rig.book.events("completion_missed")]
        assert [] == rig.heard


async def test_completion_before_the_reply(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is over before its enqueueing is answered is not awaited."""
    heard = asyncio.Event()
    attempt = Link.attempt

    async def slow(link: Link, calls: Sequence[Call]) -> list[Any]:
        replies = await attempt(link, calls)
        if calls[0].operation is Operation.ENQUEUE:
            await heard.wait()
        return replies

    monkeypatch.setattr(Link, "attempt", slow)
    await store.link.command("HSET", keys.slot(GROUP, REF), "due", 1)
    async with running(url, job(every=RARE)) as rig:
        await builders.complete(store, await claimed(store))
        await probe.until(lambda: rig.heard)
        heard.set()
        await probe.until(rig.enqueued)

    assert 0 == rig.book.events("scheduler_stopped")[0]["in_flight"]


async def test_store_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store has restarted, empty, the scheduler goes on by itself."""
    monkeypatch.setattr(auditor, "_PERIOD", 0.2)
    jobs = [job("acme/rate", every="100ms"), job("acme/delay", after="100ms")]
    with EmbeddedStore() as server:
        store = Store(Link(server.url))
        async with running(server.url, *jobs) as rig:
            await probe.until(lambda: rig.enqueued("acme/rate") and rig.enqueued("acme/delay"))
            server.stop()
            await probe.until(lambda: rig.book.events("store_lost"))
            before = {each.ref: len(rig.enqueued(each.ref)) for each in jobs}
            server.start()
            await probe.until(lambda: all(len(rig.enqueued(ref)) > n for ref, n in before.items()))
            refs = {(await claimed(store)).job_id.partition(":")[0] for _ in jobs}

            assert {each.ref for each in jobs} == refs
            assert not any(loop.failed.is_set() for loop in rig.daemon._loops)
            assert "service_failed" not in rig.book.complaints()

        await store.link.close()


async def test_store_away_at_start() -> None:
    """A start without a store fails at once, and says so."""
    server = EmbeddedStore()
    rig = Rig(server.url, [job(every=RARE)])
    with pytest.raises(StoreUnavailable, match=str(server.port)):
        await rig.daemon.start()
    await rig.daemon.stop()


async def test_unserved_handler(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that no worker serves is told once, and once more when one does; its run waits."""
    monkeypatch.setattr(watcher, "_PERIOD", 0.02)
    async with running(url, job(after="100ms")) as rig:
        await probe.until(lambda: rig.book.events("handler_unserved"))
        await probe.until(rig.enqueued)
        run = await claimed(store)
        await probe.until(lambda: rig.book.events("handler_served"))

        assert [run.job_id] == rig.enqueued()
        assert 1 == len(rig.book.events("handler_unserved"))
        assert 1 == len(rig.book.events("handler_served"))


async def test_retry_is_promoted(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed run comes back as soon as it has rested, and its job is not due in between."""
    monkeypatch.setattr(sweeper, "_PERIOD", 60)
    async with running(url, job(after="100ms")) as rig:
        first = await claimed(store)
        await builders.retry(store, first, rest_ms=150)
        again = await claimed(store)

        assert (first.job_id, 2) == (again.job_id, again.attempt)
        assert ["retrying"] == [completion.outcome for completion in rig.heard]
        assert [first.job_id] == rig.enqueued()


async def test_triggered_run_ends(url: str, store: Store) -> None:
    """A run that was triggered by hand counts as the job's last run: a fixed delay waits anew."""
    await builders.enqueue(store, builders.occurrence(due_ms=0))
    async with running(url, job(after="1h")) as rig:
        started_ms = SystemClock().now_ms()
        await builders.complete(store, await claimed(store))
        await probe.until(lambda: rig.heard)
        next_ms = rig.daemon.engine.next_ms(REF)

        assert next_ms is not None
        assert started_ms + 3_600_000 <= next_ms
        assert [] == rig.enqueued()


async def test_stop_leaves_nothing(url: str, store: Store) -> None:
    """After a stop there is no task, no connection and no timer left; a second stop is harmless."""
    tasks = asyncio.all_tasks()
    clients = len((await store.link.command("CLIENT", "LIST")).splitlines())
    async with running(url, job(every="100ms"), job("bolt/x", after="100ms", group="b")) as rig:
        await probe.until(lambda: len(rig.book.events("run_enqueued")) == 2)
    await rig.daemon.stop()

    assert tasks == asyncio.all_tasks()

    async def disconnected() -> bool:
        return len((await store.link.command("CLIENT", "LIST")).splitlines()) == clients

    await probe.found(disconnected)

    assert [] == rig.book.complaints()


async def test_completions_during_the_stop(url: str, store: Store) -> None:
    """A run that ends while the scheduler stops does no harm."""
    async with running(url, job(after="100ms")) as rig:
        run = await claimed(store)
        rig.daemon.engine.stop()
        await builders.complete(store, run)
        await probe.until(lambda: rig.heard)

    assert [] == rig.book.complaints()
