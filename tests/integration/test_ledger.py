"""Every occurrence has one outcome in the ledger, whatever kept it from being run."""

import pytest

from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.job import Blackout, Job
from rota.common.ledger import Attempts, Entry, Stretch
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler import trigger
from rota.scheduler.line import Turn
from rota.scheduler.schedule import due_of
from tests.support import builders, probe, schedulers
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.definitions import job
from tests.support.kept import flying, ledger, lose_writes, set_cursor, stretches
from tests.support.ledgers import holes
from tests.support.proxy import Proxy
from tests.support.schedulers import RARE, REF

CLOCK = SystemClock()
DAY_MS = 24 * HOUR_MS
ALL_DAY = (Blackout(start="2020-01-01 00:00", end="2090-01-01 00:00", reason="freeze"),)


async def end_all(store: Store) -> None:
    """Carry out all that is queued."""
    await builders.register(store)
    while runs := (await builders.claim(store, 50)).runs:
        for run in runs:
            await builders.complete(store, run)


@pytest.mark.parametrize("each", [job(every="1m"), job(cron="*/5 * * * *", timezone="Asia/Tokyo")])
async def test_down_for_an_hour(url: str, store: Store, each: Job) -> None:
    """What fell due while no scheduler ran is missed, but for the one that is made up for."""
    before_ms = CLOCK.now_ms() - HOUR_MS
    await set_cursor(store, before_ms)
    async with schedulers.running(url, each) as rig:
        await probe.until(rig.enqueued)
        await end_all(store)
        (missed,) = await stretches(store)
        (run_id, *_) = rig.enqueued()
        entries = await ledger(store)

        assert ("missed", "down", run_id) == (missed.outcome, missed.detail, missed.way)
        assert missed.times in (10, 11, 58, 59, 60)
        assert [] == holes(each, entries, await flying(store), before_ms)


async def test_down_in_a_blackout(url: str, store: Store) -> None:
    """What fell due in a blackout while no scheduler ran is told as that."""
    before_ms = CLOCK.now_ms() - DAY_MS
    each = job(every="1h", blackouts=ALL_DAY)
    await set_cursor(store, before_ms)
    async with schedulers.running(url, each):
        entry = (await probe.found(lambda: stretches(store)))[0]

    assert ("blackout", 24, ALL_DAY[0].text) == (entry.outcome, entry.times, entry.detail)
    assert [] == holes(each, [entry], set(), before_ms)


async def test_down_while_a_run_goes_on(url: str, store: Store) -> None:
    """What fell due while a run outlasted its scheduler overlapped it; the run has its outcome."""
    each = job(every="1m")
    due = due_of(each)
    first_ms = due.last_until(CLOCK.now_ms() - HOUR_MS)
    assert first_ms is not None
    await builders.enqueue(store, builders.occurrence(due_ms=first_ms, busy_ms=first_ms))
    async with schedulers.running(url, each):
        await probe.found(lambda: stretches(store))
        await end_all(store)
        entries = await ledger(store)

    assert ["skipped", "succeeded"] == [entry.outcome for entry in entries]
    assert [] == holes(each, entries, set(), first_ms - 1)


async def test_overlap(url: str, store: Store) -> None:
    """What falls due while the last run is not over is one stretch, with that run in the way."""
    each = job(every="100ms")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) >= 3)
        (skipped,) = await probe.found(lambda: _stretch_of(store, 3))
        await builders.complete(store, run)
        await probe.until(lambda: len(rig.enqueued()) >= 2)
    entries = await ledger(store)

    assert ("skipped", "overlap", run.job_id) == (skipped.outcome, skipped.detail, skipped.way)
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def _stretch_of(store: Store, times: int) -> list[Stretch]:
    return [entry for entry in await stretches(store) if entry.times >= times]


async def test_overlap_cancel(url: str, store: Store) -> None:
    """With `overlap: cancel` each occurrence is run and cancelled, or skipped for a later one."""
    each = job(every="100ms", overlap="cancel")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await probe.until(lambda: len(rig.book.events("run_superseded")) >= 4)
        await builders.complete(store, run, "cancelled")
        await probe.until(lambda: len(rig.enqueued()) >= 2)
        await schedulers.claimed(store)
        await probe.until(lambda: len(rig.book.events("run_superseded")) >= 6)
    entries = await ledger(store)

    assert {"cancelled", "skipped"} <= {entry.outcome for entry in entries}
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def test_blackout(url: str, store: Store) -> None:
    """What falls due in a blackout is one stretch that names it."""
    each = job(every="50ms", blackouts=ALL_DAY)
    async with schedulers.running(url, each):
        (entry,) = await probe.found(lambda: _stretch_of(store, 4))
    entries = await ledger(store)

    assert ("blackout", ALL_DAY[0].text) == (entry.outcome, entry.detail)
    assert [] == holes(each, entries, set(), entry.from_ms - 1)


@pytest.mark.parametrize("blackouts", [(), ALL_DAY])
async def test_fixed_delay(url: str, store: Store, blackouts: tuple[Blackout, ...]) -> None:
    """A fixed delay leaves nothing out: only its runs are told."""
    each = job(after="50ms", blackouts=blackouts)
    async with schedulers.running(url, each) as rig:
        for number in range(3):
            if blackouts:
                await probe.until(lambda: rig.book.events("occurrence_skipped"))
            else:
                await probe.until(lambda: len(rig.enqueued()) > number)  # noqa: B023 - at once
                await end_all(store)
    entries = await ledger(store)

    assert ([] if blackouts else ["succeeded"] * 3) == [entry.outcome for entry in entries]


async def test_new_job(url: str, store: Store) -> None:
    """Of a job that is new nothing was expected before."""
    async with schedulers.running(url, job(every="1m"), job("acme/other", after="50ms")) as rig:
        await probe.until(lambda: rig.enqueued("acme/other"))

    assert [] == await stretches(store)


async def test_two_schedulers(url: str, store: Store) -> None:
    """When a scheduler dies and another leads on, every occurrence has one outcome."""
    each = job(every="150ms")
    async with schedulers.beside(url, each) as first:
        await first.leads()
        run = await schedulers.claimed(store)
        await probe.until(lambda: first.book.events("occurrence_skipped"))
        await first.crash()
        await builders.complete(store, run)
        async with schedulers.beside(url, each) as second:
            await probe.until(second.enqueued)
            await end_all(store)
            await probe.until(lambda: len(second.enqueued()) >= 2)
    entries = await ledger(store)

    # What the first had not sent when it died is missed.
    assert {"missed", "succeeded"} <= {entry.outcome for entry in entries}
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def test_held_up(url: str, store: Store) -> None:
    """What fell due while the scheduler was held up is missed, and told as that."""
    each = job(every="100ms")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await builders.complete(store, run)
        await probe.until(lambda: not rig.daemon.engine.run(REF))
        until = CLOCK.monotonic() + 0.5
        while CLOCK.monotonic() < until:  # as a machine does that is too busy
            pass
        await probe.found(lambda: stretches(store))
        await end_all(store)
    entries = await ledger(store)
    missed = [(e.outcome, e.detail) for e in await stretches(store) if e.outcome == "missed"]

    assert {("missed", "stalled")} == set(missed)
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def test_lost_replies(url: str, store: Store) -> None:
    """When replies are lost nothing is noted twice, and nothing is left out."""
    each = job(every="100ms")
    async with Proxy(url) as proxy, schedulers.running(proxy.url, each) as rig:
        run = await schedulers.claimed(store)
        for _ in range(3):
            seen = len(rig.book.events("occurrence_skipped"))
            proxy.lose_reply()
            await probe.until(lambda: len(rig.book.events("occurrence_skipped")) > seen + 1)  # noqa: B023 - at once
        await builders.complete(store, run)
        await probe.until(lambda: len(rig.enqueued()) >= 2)
    entries = await ledger(store)

    assert proxy.replies_lost
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def test_gate(url: str, store: Store) -> None:
    """What falls due while the gate is open is told when it has closed, in order."""
    each = job(every="100ms")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await builders.change_server(store)
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) >= 3)
        await builders.complete(store, run)
        await probe.until(lambda: len(rig.enqueued()) >= 2)
    entries = await ledger(store)

    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


@pytest.mark.parametrize("blackouts", [(), ALL_DAY])
async def test_store_lost_writes(url: str, store: Store, blackouts: tuple[Blackout, ...]) -> None:
    """What a scheduler knows that it told, and the store has lost, is told as lost."""
    each = job(every="100ms", blackouts=blackouts)
    async with schedulers.running(url, each) as rig:
        first_ms = await probe.found(lambda: _cursor(store))
        seen = len(rig.book.events("occurrence_skipped"))
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) > seen + 5)
        await lose_writes(store, first_ms)
        await probe.found(lambda: _with_outcome(store, "lost"))
        seen = len(rig.book.events("occurrence_skipped"))
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) > seen + 1)
        link = Link(url, gate_ms=schedulers.GATE_MS)  # else the gate would open again for us
        await end_all(Store(link))
        await link.close()
        entries = await ledger(store)

    before_ms = first_ms if blackouts else first_ms - 1  # the run that was due then goes on
    assert [] == holes(each, entries, await flying(store), before_ms)


async def _cursor(store: Store) -> int:
    return (await schedulers.slot(store)).due_ms or 0


async def _with_outcome(store: Store, outcome: str) -> list[Entry]:
    return [entry for entry in await ledger(store) if entry.outcome == outcome]


async def test_triggered_run_lost(url: str, store: Store) -> None:
    """A triggered run that a restarted store has forgotten is told as lost."""
    each = job(every=RARE)
    async with schedulers.beside(url, each) as rig:
        await rig.leads()
        run_id = await trigger.trigger(each, store=store, clock=CLOCK)
        rig.daemon._dispatcher.fire(each, Turn(DUE_MS))  # it is busy: so the run is awaited
        await probe.until(lambda: rig.daemon._awaited.job_id(REF) == run_id)
        await store.link.command(
            "DEL", keys.run(GROUP, run_id), keys.slot(GROUP, REF), keys.queue(GROUP, "acme")
        )
        await builders.change_server(store)
        found = await probe.found(lambda: _lost(store), 15.0)

    assert [run_id] == found


async def _lost(store: Store) -> list[str]:
    return [e.job_id for e in await ledger(store) if isinstance(e, Attempts)]
