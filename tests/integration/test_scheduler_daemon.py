"""The scheduler as a whole: it fires, hears what ends, and goes on by itself."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rota.common import keys, scripts
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore
from rota.common.errors import StoreUnavailable
from rota.common.job import Blackout, Job
from rota.common.link import Call, Link
from rota.common.run import Claimed
from rota.common.state import Operation
from rota.common.store import Store
from rota.scheduler import auditor, follower, sweeper, watcher
from tests.support import builders, probe, schedulers
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.support.schedulers import RARE, REF


async def test_publishes(url: str, store: Store) -> None:
    """After the start the store knows the groups, also those without tenants, and their jobs."""
    jobs = [job(every=RARE), job("acme/mail", after=RARE), job("bolt/x", cron="@yearly", group="b")]
    async with schedulers.running(url, *jobs, groups=("empty",)) as rig:
        catalog = Catalog(store.link)

        assert ["b", "empty", GROUP] == await catalog.groups()
        assert [jobs[0], jobs[1]] == await catalog.jobs(GROUP)
        assert [jobs[2]] == await catalog.jobs("b")

        (started,) = rig.book.events("scheduler_started")

        assert (3, 2, 3) == tuple(started[name] for name in ("groups", "tenants", "jobs"))


async def test_blackout(url: str) -> None:
    """In a blackout nothing is enqueued, each occurrence is told, and other jobs go on."""
    blackout = Blackout(start="2026-01-01 00:00", end="2999-01-01 00:00", reason="rest")
    held = job("acme/held", every="100ms", blackouts=(blackout,))
    async with schedulers.running(url, held, job(every="100ms")) as rig:

        def told() -> list[tuple[str, str]]:
            events = rig.book.events("occurrence_skipped")
            return [(e["reason"], e["detail"]) for e in events if e["job"] == "held"]

        await probe.until(lambda: rig.enqueued() and told())

        assert [] == rig.enqueued("acme/held")
        assert {("blackout", blackout.text)} == set(told())


async def test_withdraws(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the configuration no longer has the store no longer knows; what changed is changed."""
    monkeypatch.setattr(follower, "_PERIOD", 0.1)
    async with schedulers.running(
        url, job(every=RARE), job("acme/old", every=RARE), groups=("gone",)
    ):
        pass
    changed = job(every="100d", args={"source": "web"})
    async with schedulers.running(url, changed):
        catalog = Catalog(store.link)

        async def withdrawn() -> bool:
            return [GROUP] == await catalog.groups()

        await probe.found(withdrawn)

        assert [changed] == await catalog.jobs(GROUP)
        assert [] == await catalog.jobs("gone")
        assert await catalog.find("acme/old") is None


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
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
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

    async def slow(link: Link, calls: Sequence[Call], **options: Any) -> list[Any]:
        replies = await attempt(link, calls, **options)
        if calls[0].operation is Operation.ENQUEUE:
            await heard.wait()
        return replies

    monkeypatch.setattr(Link, "attempt", slow)
    await store.link.command("HSET", keys.slot(GROUP, REF), "due", 1)
    async with schedulers.running(url, job(every=RARE)) as rig:
        await builders.complete(store, await schedulers.claimed(store))
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
        async with schedulers.running(server.url, *jobs) as rig:
            await probe.until(lambda: rig.enqueued("acme/rate") and rig.enqueued("acme/delay"))
            server.stop()
            await probe.until(lambda: rig.book.events("store_lost"))
            before = {each.ref: len(rig.enqueued(each.ref)) for each in jobs}
            server.start()
            await probe.until(lambda: all(len(rig.enqueued(ref)) > n for ref, n in before.items()))
            refs = {(await schedulers.claimed(store)).job_id.partition(":")[0] for _ in jobs}

            assert {each.ref for each in jobs} == refs
            assert not any(loop.failed.is_set() for loop in rig.daemon._loops)
            assert "service_failed" not in rig.book.complaints()

        await store.link.close()


async def test_store_away_at_start() -> None:
    """A start without a store fails at once, and says so."""
    server = EmbeddedStore()
    rig = schedulers.Rig(server.url, [job(every=RARE)])
    with pytest.raises(StoreUnavailable, match=str(server.port)):
        await rig.daemon.start()
    await rig.daemon.stop()


async def test_unserved_handler(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that no worker serves is told once, and once more when one does; its run waits."""
    monkeypatch.setattr(watcher, "_PERIOD", 0.02)
    async with schedulers.running(url, job(after="100ms")) as rig:
        await probe.until(lambda: rig.book.events("handler_unserved"))
        await probe.until(rig.enqueued)
        run = await schedulers.claimed(store)
        await probe.until(lambda: rig.book.events("handler_served"))

        assert [run.job_id] == rig.enqueued()
        assert 1 == len(rig.book.events("handler_unserved"))
        assert 1 == len(rig.book.events("handler_served"))


async def test_retry_is_promoted(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed run comes back as soon as it has rested, and its job is not due in between."""
    monkeypatch.setattr(sweeper, "_PERIOD", 60)
    async with schedulers.running(url, job(after="100ms")) as rig:
        first = await schedulers.claimed(store)
        await builders.retry(store, first, rest_ms=150)
        again = await schedulers.claimed(store)

        assert (first.job_id, 2) == (again.job_id, again.attempt)
        assert ["retrying"] == [completion.outcome for completion in rig.heard]
        assert [first.job_id] == rig.enqueued()


async def test_triggered_run_ends(url: str, store: Store) -> None:
    """A run that was triggered by hand counts as the job's last run: a fixed delay waits anew."""
    await builders.enqueue(store, builders.occurrence(due_ms=0))
    async with schedulers.running(url, job(after="1h")) as rig:
        started_ms = SystemClock().now_ms()
        await builders.complete(store, await schedulers.claimed(store))
        await probe.until(lambda: rig.heard)
        next_ms = rig.daemon.engine.next_ms(REF)

        assert next_ms is not None
        assert started_ms + 3_600_000 <= next_ms
        assert [] == rig.enqueued()


async def test_stop_leaves_nothing(url: str, store: Store) -> None:
    """After a stop there is no task, no connection and no timer left; a second stop is harmless."""
    tasks = asyncio.all_tasks()
    clients = len((await store.link.command("CLIENT", "LIST")).splitlines())
    async with schedulers.running(
        url, job(every="100ms"), job("bolt/x", after="100ms", group="b")
    ) as rig:
        await probe.until(lambda: len(rig.book.events("run_enqueued")) == 2)
    await rig.daemon.stop()

    assert tasks == asyncio.all_tasks()

    async def disconnected() -> bool:
        return len((await store.link.command("CLIENT", "LIST")).splitlines()) == clients

    await probe.found(disconnected)

    assert [] == rig.book.complaints()


async def test_completions_during_the_stop(url: str, store: Store) -> None:
    """A run that ends while the scheduler stops does no harm."""
    async with schedulers.running(url, job(after="100ms")) as rig:
        run = await schedulers.claimed(store)
        rig.daemon.engine.stop()
        await builders.complete(store, run)
        await probe.until(lambda: rig.heard)

    assert [] == rig.book.complaints()
