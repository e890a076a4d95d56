"""What an operator has paused is not enqueued and told as that, whatever becomes of the rest."""

import pytest

from rota.common.clock import SystemClock
from rota.common.job import Job
from rota.common.ledger import Missed
from rota.common.link import Link
from rota.common.pauses import Pause, Pauses
from rota.common.store import Store
from rota.scheduler import trigger
from rota.scheduler.applier import Applier
from rota.scheduler.config import Config
from tests.support import builders, probe, schedulers
from tests.support.builders import HOUR_MS
from tests.support.definitions import config, job
from tests.support.kept import flying, ledger, set_cursor, stretches
from tests.support.ledgers import holes
from tests.support.schedulers import RARE, REF

CLOCK = SystemClock()
OFTEN = job(every="100ms")
DETAIL = f"{REF} by ann@ops: migration"


async def pause(store: Store, name: str = REF, rig: schedulers.Rig | None = None) -> Pause:
    """Pause something; a scheduler hears of it at once."""
    made, _ = await Pauses(store.link).pause(name, by="ann@ops", why="migration")
    if rig is not None:
        rig.daemon._pauses.wake()
    return made


async def resume(store: Store, name: str = REF, rig: schedulers.Rig | None = None) -> Pause:
    """Resume it; a scheduler hears of it at once."""
    ended = await Pauses(store.link).resume(name)
    assert ended is not None
    if rig is not None:
        rig.daemon._pauses.wake()
    return ended


async def end_all(store: Store) -> None:
    """Carry out all that is queued."""
    await builders.register(store)
    while runs := (await builders.claim(store, 50)).runs:
        for run in runs:
            await builders.complete(store, run)


async def paused(store: Store, times: int = 1) -> list[str]:
    """Return what is told of paused occurrences, as soon as there are so many."""

    async def enough() -> list[str]:
        found = [entry for entry in await stretches(store) if entry.outcome == "paused"]
        return [e.detail for e in found] if sum(e.times for e in found) >= times else []

    return await probe.found(enough)


@pytest.mark.parametrize("name", [REF, "acme"])
async def test_paused(url: str, store: Store, name: str) -> None:
    """Within 2 s nothing is enqueued any more; what is due is told as paused, by whom and why."""
    async with schedulers.running(url, OFTEN, job("beta/import", every="100ms")) as rig:
        first = await schedulers.claimed(store)
        await builders.complete(store, first)
        await pause(store, name)
        await probe.until(lambda: rig.book.events("paused"), 2.0)
        await end_all(store)
        seen, others = len(rig.enqueued()), len(rig.enqueued("beta/import"))
        details = await paused(store, 5)
        await end_all(store)
        await probe.until(lambda: len(rig.enqueued("beta/import")) > others)

        assert {f"{name} by ann@ops: migration"} == set(details)
        assert seen == len(rig.enqueued())
        assert [] == holes(OFTEN, await ledger(store), await flying(store), first.due_ms - 1)


async def test_resumed(url: str, store: Store) -> None:
    """When it is resumed the job goes on at its times, and makes up for nothing."""
    async with schedulers.running(url, OFTEN) as rig:
        await pause(store, rig=rig)
        await paused(store, 3)
        await end_all(store)
        seen = len(rig.enqueued())
        ended = await resume(store, rig=rig)
        await probe.until(lambda: len(rig.enqueued()) > seen)
        run_id = rig.enqueued()[seen]
        (run,) = [r for r in (await builders.claim(store, 9)).runs if r.job_id == run_id]

    assert ended.until_ms - 100 <= run.due_ms


async def test_runs_go_on(url: str, store: Store) -> None:
    """A run that is under way when its job is paused goes on; no later occurrence skips for it."""
    async with schedulers.running(url, OFTEN) as rig:
        run = await schedulers.claimed(store)
        await pause(store, rig=rig)
        await paused(store, 2)

        assert "completed" == await builders.complete(store, run)


async def test_paused_before_the_start(url: str, store: Store) -> None:
    """A scheduler that starts later keeps to the pause: before it is missed, since it is paused."""
    now_ms = CLOCK.now_ms()
    await set_cursor(store, now_ms - HOUR_MS)
    each = job(every="1m")
    await pause(store)
    await _since(store, now_ms - HOUR_MS // 2)
    async with schedulers.running(url, each) as rig:
        await paused(store)
        entries = await ledger(store)

    assert [] == rig.enqueued()
    assert [("paused", DETAIL), ("missed", Missed.PAUSE)] == [
        (entry.outcome, entry.detail) for entry in await stretches(store)
    ]
    assert [] == holes(each, entries, set(), now_ms - HOUR_MS)


async def test_resumed_before_the_start(url: str, store: Store) -> None:
    """What fell due in a pause that was ended is told as paused by who starts later.

    What was missed before is made up for, as if there had been no pause.
    """
    now_ms = CLOCK.now_ms()
    await set_cursor(store, now_ms - HOUR_MS)
    each = job(every="1s")
    await pause(store)
    await _since(store, now_ms - HOUR_MS // 2)
    ended = await resume(store)
    async with schedulers.running(url, each) as rig:
        await probe.until(rig.enqueued)
        await end_all(store)
        await paused(store)
        await end_all(store)
        entries = await ledger(store)

        assert [] == holes(each, entries, await flying(store), now_ms - HOUR_MS)
    (pausing, missed) = [e for e in await stretches(store) if e.times > 1]
    assert ("paused", "missed") == (pausing.outcome, missed.outcome)
    assert rig.enqueued()[0] == missed.way
    assert pausing.to_ms < ended.until_ms


async def _since(store: Store, since_ms: int) -> None:
    """Let the pause have begun earlier."""
    pauses = Pauses(store.link)
    known = await pauses.read()
    old = known.of[REF][0]
    earlier = Pause(by=old.by, why=old.why, since_ms=since_ms)
    assert await pauses._change(known, REF, (earlier,), CLOCK.now_ms())


async def test_fixed_delay(url: str, store: Store) -> None:
    """A fixed delay that is paused is due as soon as it is resumed."""
    await pause(store)
    async with schedulers.running(url, job(after="50ms")) as rig:
        await probe.until(lambda: rig.book.events("occurrence_skipped"))
        ended = await resume(store, rig=rig)
        await probe.until(rig.enqueued, 2.0)
        (run,) = (await builders.claim(store, 9)).runs or [await schedulers.claimed(store)]

    assert ended.until_ms - 50 <= run.due_ms
    assert [] == await stretches(store)


async def test_triggered(url: str, store: Store) -> None:
    """A paused job runs all the same when somebody triggers it."""
    each = job(every=RARE)
    async with schedulers.running(url, each):
        await pause(store)
        run_id = await trigger.trigger(each, store=store, clock=CLOCK)
        run = await schedulers.claimed(store)

    assert run_id == run.job_id


async def apply(url: str, what: Config) -> None:
    """Apply a configuration, as another operator does."""
    link = Link(url)
    applier = Applier(link, command="test")
    await applier.apply(what, await applier.current())
    await link.close()


@pytest.mark.parametrize("meanwhile", [OFTEN.group, "silver"])
async def test_outlives_configurations(url: str, store: Store, meanwhile: str) -> None:
    """A pause survives changes, moves, the removal and the return of its job."""
    changed = job(every="200ms", group=meanwhile)
    other = job("beta/other", every=RARE)
    async with schedulers.running(url, OFTEN, other) as rig:
        await pause(store, rig=rig)
        await paused(store)
        for number, what in enumerate(([changed, other], [other], [OFTEN, other]), start=2):
            await apply(url, config(*what))
            await _followed(rig, number)
        await end_all(store)
        seen = len(rig.enqueued())
        told = len(rig.book.events("occurrence_skipped"))
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) > told + 2)

    assert seen == len(rig.enqueued())
    assert {"paused"} == {e["reason"] for e in rig.book.events("occurrence_skipped")[told:]}


async def _followed(rig: schedulers.Rig, number: int) -> None:
    rig.daemon._follower.wake()
    await probe.until(lambda: rig.book.events("revision_followed")[-1]["revision"] == number)


async def test_store_lost_it(url: str, store: Store) -> None:
    """A store that was emptied gets its pauses back from whoever knows them."""
    async with schedulers.running(url, job(every=RARE)) as rig:
        await pause(store, "acme", rig)
        known = await Pauses(store.link).read()
        await probe.until(lambda: rig.book.events("paused"))
        await store.link.command("FLUSHALL")
        rig.daemon._pauses.wake()
        await probe.until(lambda: rig.book.events("pauses_restored"))

    assert known == await Pauses(store.link).read()


async def test_takeover(url: str, store: Store) -> None:
    """When another scheduler takes over the pause holds on, and nothing is left out."""
    async with schedulers.running(url, OFTEN) as first:
        run = await schedulers.claimed(store)
        await builders.complete(store, run)
        await pause(store, rig=first)
        await paused(store, 2)
        await end_all(store)
    async with schedulers.running(url, OFTEN) as second:
        await paused(store, 10)
    entries = await ledger(store)

    assert [] == second.enqueued()
    assert [] == holes(OFTEN, entries, await flying(store), run.due_ms - 1)


async def test_waits_for_the_last_run(url: str, store: Store) -> None:
    """What waits with `overlap: cancel` when the job is paused is not run after the run's end."""
    each: Job = job(every="700ms", overlap="cancel")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await probe.until(lambda: rig.book.events("run_superseded"))
        await pause(store, rig=rig)
        await probe.until(lambda: rig.book.events("paused"))
        seen = len(rig.enqueued())
        await builders.complete(store, run, "cancelled")
        await paused(store, 1)
    entries = await ledger(store)

    assert seen == len(rig.enqueued())
    assert [] == holes(each, entries, set(), run.due_ms - 1)
