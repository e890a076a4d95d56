"""A backfill runs what was asked for once each, in order, whoever leads, and behind live work."""

import asyncio

from rota.common.backfills import Backfills
from rota.common.clock import SystemClock
from rota.common.job import Job, backfill_id
from rota.common.ledger import Ledger
from rota.common.pauses import Pauses
from rota.common.store import Store
from rota.scheduler import backfill
from rota.scheduler.leader import TTL
from rota.worker import Context, Jobs
from tests.support import builders, probe, schedulers, workers
from tests.support.builders import GROUP, HANDLER, HOUR_MS
from tests.support.definitions import job
from tests.support.schedulers import RARE, REF

CLOCK = SystemClock()
HOURLY = job(cron="0 * * * *")


class Calls:
    """A handler that takes a moment, and what it was called for."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.made: list[str] = []
        self.told: set[tuple[int, bool]] = set()
        self.busy = self.most = 0
        self.jobs.handler(HANDLER)(self._work)

    async def _work(self, ctx: Context) -> None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        self.made.append(ctx.job_id)
        self.told.add((ctx.due_ms, ctx.backfill))
        await asyncio.sleep(0.02)
        self.busy -= 1


def past(each: Job, count: int) -> list[int]:
    """Return the last due times of a job."""
    now_ms = CLOCK.now_ms()
    return list(backfill.dues(each, now_ms - (count + 2) * HOUR_MS, now_ms))[:count]


async def ended(store: Store) -> None:
    """Return when no backfill is under way."""

    async def none_left() -> bool:
        return not await Backfills(store.link).of(GROUP)

    await probe.found(none_left, 20.0)


async def test_all_in_order(url: str, store: Store) -> None:
    """Each is run once, in order of due time, one at a time; the ledger keeps all of them."""
    calls, times = Calls(), past(HOURLY, 12)
    async with workers.working(url, calls.jobs), schedulers.running(url, HOURLY) as rig:
        made = await backfill.begin(HOURLY, times, store.link)
        again = await backfill.begin(HOURLY, times, store.link)
        await ended(store)
        later = await backfill.begin(HOURLY, times[:1], store.link)
        await ended(store)

    ids = [backfill_id(REF, made.number, ms) for ms in times]
    entries = await Ledger(store.link).of(GROUP, REF, 0)

    assert (False, True, made.number) == (made.already, again.already, again.number)
    assert [*ids, backfill_id(REF, later.number, times[0])] == [
        each for each in calls.made if "backfill" in each
    ]
    assert {(ms, True) for ms in times} <= calls.told
    assert 1 == calls.most
    assert set(ids) <= {getattr(entry, "job_id", "") for entry in entries}
    assert 2 == len(rig.book.events("backfill_ended"))
    assert [] == rig.book.complaints()


async def test_takeover(url: str, store: Store) -> None:
    """When the leader is killed in the midst the next one goes on: none left out, none doubled."""
    calls, times = Calls(), past(HOURLY, 40)
    async with (
        workers.working(url, calls.jobs),
        schedulers.running(url, HOURLY) as first,
        schedulers.beside(url, HOURLY) as second,
    ):
        made = await backfill.begin(HOURLY, times, store.link)
        await probe.until(lambda: len(calls.made) >= 5)
        await first.crash()
        done = len(calls.made)
        await builders.shift(store, round(TTL * 1000))
        await probe.until(lambda: second.led)
        await ended(store)

    assert done < len(times)
    assert [backfill_id(REF, made.number, ms) for ms in times] == [
        each for each in calls.made if "backfill" in each
    ]
    assert 1 == calls.most


async def test_live_first(url: str, store: Store) -> None:
    """No live occurrence is skipped for a backfill; it goes before the next of the backfill."""
    each = job(every="400ms")
    calls, times = Calls(), past(HOURLY, 1)
    async with workers.working(url, calls.jobs), schedulers.running(url, each):
        await Backfills(store.link).begin(
            GROUP, REF, from_ms=times[-1], to_ms=times[-1] + 16_000, total=40, by="ann@ops"
        )
        await ended(store)
    entries = await Ledger(store.link).of(GROUP, REF, 0)

    assert 1 == calls.most
    assert 40 == len([each for each in calls.made if "backfill" in each])
    assert [] == [e for e in entries if e.outcome not in ("succeeded", "missed")]


async def test_waits(url: str, store: Store) -> None:
    """A paused job's backfill waits; one of a job that is configured no more is dropped."""
    rare = job("acme/rare", every=RARE)
    calls, times = Calls(), past(HOURLY, 2)
    async with workers.working(url, calls.jobs), schedulers.running(url, HOURLY, rare) as rig:
        await Pauses(store.link).pause("acme", by="ann@ops", why="")
        await probe.until(lambda: rig.book.events("paused"))
        await backfill.begin(HOURLY, times, store.link)
        await Backfills(store.link).begin(
            GROUP, "acme/gone", from_ms=times[0], to_ms=times[1], total=2, by="ann@ops"
        )
        await probe.until(lambda: rig.book.events("backfill_dropped"))
        waiting = (await Backfills(store.link).of(GROUP))[REF].sent, len(calls.made)
        await Pauses(store.link).resume("acme")
        await ended(store)

    assert (0, 0) == waiting
    assert 2 == len(calls.made)
    assert ["gone"] == [event["job"] for event in rig.book.events("backfill_dropped")]
