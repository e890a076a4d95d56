"""Scheduler and workers together on one store, in one process: jobs of all kinds keep running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.embedded import EmbeddedStore
from rota.common.job import Job, Retry
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler import auditor, publisher
from rota.scheduler.daemon import SchedulerDaemon
from rota.worker import Context, Jobs
from rota.worker.daemon import WorkerDaemon, WorkerOptions
from tests.support import audit, probe
from tests.support.audit import Audit
from tests.support.definitions import config, job
from tests.support.logbook import Logbook

GROUPS = ("gold", "silver", "free")
GATE_MS = 500  # how long a store that was restarted stays closed
AFTER = 0.15  # seconds between the end of a run and the next, for jobs with a fixed delay

handlers = Jobs()


@handlers.handler("work")
async def work(ctx: Context, seconds: float = 0.02) -> None:
    """Take some time."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)


@handlers.handler("fail-once")
async def fail_once(ctx: Context) -> None:
    """Fail the first time."""
    with audit.recorded(ctx):
        if ctx.attempt == 1:
            raise RuntimeError("the first time")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which the handlers record what they do."""
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "audit"))
    return tmp_path / "audit"


def all_kinds() -> list[Job]:
    """Return jobs of all kinds in three groups; some take longer than their period."""
    jobs = []
    for group in GROUPS:
        over = {"group": group, "handler": "work"}
        for n in range(3):
            jobs.append(job(f"{group}-{n}/rate", every="200ms", **over))
            jobs.append(job(f"{group}-{n}/delay", after="150ms", **over))
        jobs.append(job(f"{group}-0/slow", every="100ms", args={"seconds": 0.25}, **over))
        jobs.append(job(f"{group}-0/cron", cron="@yearly", **over))
    return jobs


@asynccontextmanager
async def scheduler(url: str, *jobs: Job) -> AsyncIterator[Logbook]:
    """Run a scheduler."""
    book = Logbook()
    daemon = SchedulerDaemon(url, config(*jobs), log=book.log, gate_ms=GATE_MS)
    await daemon.start()
    try:
        yield book
    finally:
        await daemon.stop()


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[Logbook]:
    """Run a worker that serves all groups."""
    book = Logbook()
    options = WorkerOptions(app=__name__, groups=[], concurrency=50, grace=5, gate_ms=GATE_MS)
    daemon = WorkerDaemon(url, handlers, options, log=book.log)
    await daemon.start()
    try:
        yield book
    finally:
        await daemon.stop()


async def runs_of_all(path: Path, jobs: list[Job], count: int) -> Audit:
    """Return the audit as soon as each job has run so often; a cron job, once."""

    def enough() -> Audit | None:
        read = Audit(path)
        done = {each.ref: len([a for a in read.of(each.ref) if a.outcome]) for each in jobs}
        wanted = {each.ref: 1 if each.schedule.kind == "cron" else count for each in jobs}
        return read if all(done[ref] >= n for ref, n in wanted.items()) else None

    found = await probe.until(enough, 20)
    assert found is not None
    return found


async def test_jobs_of_all_kinds(url: str, store: Store, path: Path) -> None:
    """Every job runs again and again, none beside itself, and a fixed delay is kept."""
    jobs = all_kinds()
    for each in jobs:
        if each.schedule.kind == "cron":  # due as of long ago, to be made up for at the start
            await store.link.command("HSET", keys.slot(each.group, each.ref), "due", 1)
    async with scheduler(url, *jobs) as scheduling, worker(url) as working:
        read = await runs_of_all(path, jobs, 5)

    assert 24 == len(jobs)
    assert [] == read.overlaps()
    assert {1} == set(Audit(path).done().values())
    for each in jobs:
        if each.schedule.kind == "after":
            pauses = [b.start - a.end for a, b in pairwise(read.of(each.ref))]
            assert min(pauses) >= AFTER - 0.002  # due times are whole milliseconds of another clock

    assert {"slow"} <= {e["job"] for e in scheduling.events("occurrence_skipped")}
    assert "completion_missed" not in scheduling.complaints()
    assert [] == working.complaints()


async def test_failing_attempt(url: str, path: Path) -> None:
    """A failed attempt is followed by another of the same run, and then the schedule goes on."""
    each = job(after="100ms", handler="fail-once", retry=Retry(backoff_ms=50))
    async with scheduler(url, each), worker(url):
        read = await runs_of_all(path, [each], 4)

    assert ["failed", "done"] * 2 == [attempt.outcome for attempt in read.of(each.ref)][:4]
    assert [1, 2] * 2 == [attempt.attempt for attempt in read.of(each.ref)][:4]
    assert 2 <= len(read.runs())


async def test_two_schedulers(url: str, path: Path) -> None:
    """Two schedulers on one store run no occurrence twice and no job beside itself."""
    groups = [GROUPS[n % len(GROUPS)] for n in range(10)]
    over = {"every": "100ms", "handler": "work"}
    jobs = [job(f"t{n}/rate", group=group, **over) for n, group in enumerate(groups)]
    async with scheduler(url, *jobs) as first, scheduler(url, *jobs) as second, worker(url):
        await probe.until(lambda: second.events("run_enqueued"))
        count = max(len(Audit(path).of(each.ref)) for each in jobs)
        read = await runs_of_all(path, jobs, count + 10)

    assert [] == read.overlaps()
    assert set() == read.again()
    assert {"rate"} == {e["job"] for e in first.events("run_enqueued")}
    assert {"rate"} == {e["job"] for e in second.events("run_enqueued")}


async def test_one_scheduler_takes_over(url: str, path: Path) -> None:
    """When one of two schedulers ends, the other one goes on with every job."""
    jobs = [job(f"t{n}/rate", every="100ms", handler="work") for n in range(5)]
    jobs += [job(f"t{n}/delay", after="100ms", handler="work") for n in range(5)]
    async with scheduler(url, *jobs), worker(url):
        async with scheduler(url, *jobs):
            before = await runs_of_all(path, jobs, 3)
        count = max(len(before.of(each.ref)) for each in jobs)
        await runs_of_all(path, jobs, count + 3)

    assert [] == Audit(path).overlaps()


async def test_store_restarts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store has restarted, empty, all jobs go on, and the store knows them again."""
    monkeypatch.setattr(auditor, "_PERIOD", 0.2)
    monkeypatch.setattr(publisher, "_PERIOD", 0.1)
    jobs = [job("acme/rate", every="100ms", handler="work")]
    jobs += [job("acme/delay", after="100ms", handler="work")]
    with EmbeddedStore() as server:
        async with scheduler(server.url, *jobs) as book, worker(server.url):
            before = await runs_of_all(path, jobs, 2)
            server.stop()
            await probe.until(lambda: book.events("store_lost"))
            server.start()
            count = max(len(before.of(each.ref)) for each in jobs)
            await runs_of_all(path, jobs, count + 3)
            link = Link(server.url)
            catalog = Catalog(link)
            known = await probe.found(lambda: catalog.jobs("gold"))
            groups = await catalog.groups()
            await link.close()

    assert ["acme/delay", "acme/rate"] == [each.ref for each in known]
    assert ["gold"] == groups
    assert [] == Audit(path).overlaps()
