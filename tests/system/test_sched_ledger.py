"""`sched runs` and `sched why` as people and programs meet them."""

import asyncio

import pytest

from rota.common import message
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.ledger import Missed, Note, Outcome
from rota.common.noting import Note as Told
from rota.common.noting import Noting
from rota.common.progress import Mark, Tally
from rota.common.recording import Recording
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.definitions import job
from tests.system.test_sched_cli import begin, end, sched

pytestmark = pytest.mark.system

REF = "acme/import"


async def some_history(store: Store) -> str:
    """Let a job have succeeded, missed three occurrences, and run now; return the run."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    await builders.shift(store, DUE_MS - SystemClock().now_ms())
    before = builders.occurrence(due_ms=DUE_MS - 4 * HOUR_MS).job_id
    seeded = await builders.seed(store, State.SUCCEEDED, due_ms=DUE_MS - 4 * HOUR_MS)
    assert before == seeded.run.job_id
    first, last = DUE_MS - 3 * HOUR_MS, DUE_MS - HOUR_MS
    missed = Note(REF, Outcome.MISSED, Missed.DOWN, first, last, 3, builders.occurrence().job_id)
    await Recording(store).record(GROUP, missed)
    return (await builders.seed(store, State.RUNNING)).run.job_id


async def test_runs(url: str, store: Store) -> None:
    """The history has the run in flight on top, then what became of the occurrences before."""
    running = await some_history(store)
    table = await sched("runs", REF, url=url)
    data = (await sched("runs", REF, "-n", "2", "-o", "json", url=url)).data

    assert 0 == table.code
    assert ["running", "missed", "succeeded"] == [
        line.split()[1] for line in table.out.splitlines()[3:] if line
    ]
    assert table.out.startswith("no scheduler leads group gold: ")
    assert "3 times since 2027-01-15T05:00:00+00:00: no scheduler led the group" in table.out
    assert [("running", running), ("missed", None)] == [
        (entry["outcome"], entry.get("job_id")) for entry in data
    ]
    assert ("2027-01-15T05:00:00Z", 3) == (data[1]["from"], data[1]["times"])


async def test_show(url: str, store: Store) -> None:
    """A run in flight is shown with a bar and its units; one that is over by its ledger entry."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    run = (await builders.seed(store, State.RUNNING, keep_ms=0)).run
    mark = message.encode(Mark(done=300, total=1_000, took_ms=30_000))
    units = message.encode([Tally(items=299, skipped=1, units=3, took_ms=30_000, position=300)])
    await Noting(store).send(Told(run, progress=mark, units=units))
    shown = await sched("runs", "show", run.job_id, url=url)
    await builders.complete(store, run)
    over = await sched("runs", "show", run.job_id, "--follow", url=url)
    data = (await sched("runs", "show", run.job_id, "-o", "json", url=url)).data
    listed = await sched("runs", REF, url=url)

    assert "30%  300 of 1,000  10/s" in shown.out
    assert "299 items in 3 units, 1 skipped" in shown.out
    assert (0, True) == (over.code, f"{run.job_id}  succeeded, attempt 1" in over.out)
    assert ("succeeded", 299) == (data["outcome"], data["units"][0]["items"])
    assert "299 items in 3 units, 1 skipped" in listed.out


async def test_follow(url: str, store: Store) -> None:
    """A run is followed until it is over; the exit code tells whether it succeeded."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    run = (await builders.seed(store, State.RUNNING)).run
    process = await begin("-m", "rota.scheduler", "runs", "show", run.job_id, "-f", url=url)
    assert process.stdout is not None
    first = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    await builders.complete(store, run, "dead")
    rest = await end(process)
    unknown = await sched("runs", "show", f"{REF}:20200101T000000Z", "-f", url=url)
    wrong = await sched("runs", "show", REF, url=url)

    assert f"{run.job_id}  running, attempt 1 of 3" in first
    assert (1, True) == (rest.code, f"{run.job_id}  dead, attempt 1" in rest.out)
    assert (5, True) == (unknown.code, "no run acme/import:20200101T000000Z" in unknown.err)
    assert (2, True) == (wrong.code, "expected a JOB_ID" in wrong.err)


async def test_why(url: str, store: Store) -> None:
    """Without a time the last occurrence is told, with one that which was due then."""
    running = await some_history(store)
    last = await sched("why", REF, url=url)
    done = await sched("why", REF, "--at", "2027-01-15T04:00", url=url)
    missed = (await sched("why", REF, "--at", "2027-01-15 06:00Z", "-o", "json", url=url)).data

    assert f"enqueued as {running}" in last.out
    assert "claimed by w1, after it had waited" in last.out
    assert "succeeded with attempt 1, which took" in done.out
    assert ["missed"] == [entry["outcome"] for entry in missed["entries"]]
    assert missed["told"][-1].strip() == f"made up for by {running}"


async def test_nothing(url: str, store: Store) -> None:
    """A job that has not been due yet has an empty history; one that nobody knows is not found."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    empty = await sched("runs", REF, url=url)
    unknown = await sched("runs", "acme/other", url=url)
    wrong = await sched("why", "acme", url=url)
    no_time = await sched("why", REF, "--at", "soon", url=url)

    assert (0, "nothing yet") == (empty.code, empty.out.splitlines()[-1])
    assert (5, True) == (unknown.code, "no job acme/other is known" in unknown.err)
    assert (2, 2) == (wrong.code, no_time.code)
    assert "write for example 2026-11-23T02:00" in no_time.err


async def test_job_that_is_gone(url: str, store: Store) -> None:
    """What a job did before it was taken out of the configuration is still told."""
    await some_history(store)
    await Catalog(store.link).publish(GROUP, [])
    runs = await sched("runs", REF, url=url)

    assert (0, True) == (runs.code, "succeeded" in runs.out)
