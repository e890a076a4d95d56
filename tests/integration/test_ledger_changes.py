"""The ledger tells of a job what it was due for as it was configured then, and nothing else."""

import pytest

from rota.common import clock
from rota.common.clock import SystemClock
from rota.common.job import Blackout, Job
from rota.common.ledger import Stretch
from rota.common.store import Store
from rota.scheduler import applied as contents
from rota.scheduler import follower
from tests.support import configurations, probe, schedulers
from tests.support.builders import HOUR_MS
from tests.support.configurations import apply, followed
from tests.support.definitions import config, job
from tests.support.kept import flying, ledger, lose_writes, set_cursor, stretches
from tests.support.ledgers import holes
from tests.support.schedulers import RARE

CLOCK = SystemClock()
DAY_MS = 24 * HOUR_MS
ALWAYS = (Blackout(start="2020-01-01 00:00", end="2090-01-01 00:00"),)
NEVER = job(at="2999-01-01 00:00")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let schedulers look often, so that no test waits long."""
    monkeypatch.setattr(follower, "_PERIOD", 0.1)


async def put(store: Store, before: Job, after: Job, changed_ms: int) -> None:
    """Let `after` have taken the place of `before` at `changed_ms`, a day after the first apply."""
    first = contents.first(config(before), changed_ms - DAY_MS)
    await configurations.put(store, first.followed_by(config(after), changed_ms))


async def test_never_due_before(url: str, store: Store) -> None:
    """A job that first fell due while no scheduler ran leaves its trace: what was missed, and why.

    It is told from when it was applied on.
    """
    each, added_ms = job(every="10m"), CLOCK.now_ms() - 5 * HOUR_MS
    await put(store, job("bolt/x", every=RARE), each, added_ms)
    async with schedulers.running(url, each) as rig:
        await probe.until(rig.enqueued)
        (missed,) = await probe.found(lambda: stretches(store))
        (run_id,) = rig.enqueued()

        assert ("missed", "down", run_id) == (missed.outcome, missed.detail, missed.way)
        assert missed.times in (28, 29, 30)
        assert [] == holes(each, [missed], {run_id}, added_ms)


async def test_never_due_and_in_a_blackout(url: str, store: Store) -> None:
    """What a new job was first due for, in a blackout while no scheduler ran, is told as that."""
    now_ms = CLOCK.now_ms()
    at = f"{clock.utc(now_ms - HOUR_MS):%Y-%m-%d %H:%M}"
    once = job(at=at, blackouts=ALWAYS)
    await put(store, job("bolt/x", every=RARE), once, now_ms - DAY_MS)
    async with schedulers.running(url, once) as rig:
        (entry,) = await probe.found(lambda: stretches(store))

    assert ("blackout", 1) == (entry.outcome, entry.times)
    assert [] == rig.enqueued()


async def test_changed_while_nobody_ran(url: str, store: Store) -> None:
    """A changed schedule's gap is counted by the new schedule from the change on, not before."""
    each, changed_ms = job(every="10m"), CLOCK.now_ms() - 5 * HOUR_MS
    await set_cursor(store, changed_ms - 3 * DAY_MS)
    await put(store, NEVER, each, changed_ms)
    async with schedulers.running(url, each) as rig:
        await probe.until(rig.enqueued)
        (missed,) = await probe.found(lambda: stretches(store))

        assert missed.times in (28, 29, 30)
        assert missed.from_ms > changed_ms
        assert [] == holes(each, [missed], set(rig.enqueued()), changed_ms)


async def test_changed_while_led(url: str, store: Store) -> None:
    """A schedule that changes while its group is led counts from the change on, not before."""
    each = job(every="100ms")
    async with schedulers.running(url, NEVER) as rig:
        begun = CLOCK.monotonic()
        await probe.until(lambda: CLOCK.monotonic() > begun + 0.5)
        made = await apply(store, each)
        await followed(rig, made)
        await schedulers.claimed(store)
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) >= 3)
        await probe.found(lambda: stretches(store))
        entries = await ledger(store)
        ended = await flying(store)

    assert [] == holes(each, entries, ended, made.at_ms)


async def test_changed_while_one_waits(url: str, store: Store) -> None:
    """What waited for the last run's end, and is dropped by a change, is told as skipped."""
    each = job(every="100ms", overlap="cancel")
    async with schedulers.running(url, each) as rig:
        run = await schedulers.claimed(store)
        await probe.until(lambda: len(rig.book.events("run_superseded")) >= 3)
        await followed(rig, await apply(store, NEVER))
        due = rig.book.events("run_superseded")[-1]["due"]

        async def last() -> list[Stretch]:
            return [e for e in await stretches(store) if clock.iso(e.to_ms) == due]

        (skipped,) = await probe.found(last)

    assert ("skipped", "overlap", run.job_id) == (skipped.outcome, skipped.detail, skipped.way)


async def test_store_lost_the_change(url: str, store: Store) -> None:
    """What a store has lost from before a change is not told by the schedule that came with it."""
    each = job(every="100ms", blackouts=ALWAYS)
    async with schedulers.running(url, NEVER) as rig:
        made = await apply(store, each)
        await followed(rig, made)
        await probe.until(lambda: len(rig.book.events("occurrence_skipped")) >= 3)
        await probe.found(lambda: stretches(store))
        await lose_writes(store, made.at_ms - HOUR_MS)
        await probe.found(lambda: _lost(store))
        entries = await ledger(store)

    assert [] == holes(each, entries, set(), made.at_ms)


async def _lost(store: Store) -> list[Stretch]:
    return [entry for entry in await stretches(store) if entry.outcome == "lost"]
