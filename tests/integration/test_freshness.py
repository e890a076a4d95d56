"""A job that has not succeeded for too long is told once, and once more when it is over."""

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.pauses import Pause, Pauses
from rota.common.store import Store
from rota.scheduler import applied
from rota.scheduler.freshness import Freshness
from rota.scheduler.pause_watch import PauseWatch
from tests.support import builders, probe, schedulers
from tests.support.builders import GROUP, HOUR_MS
from tests.support.definitions import config, job
from tests.support.logbook import Logbook
from tests.support.schedulers import RARE, REF

EACH = job(every=RARE, fresh_within_ms=HOUR_MS)


class Rig:
    """The watch over one group, with the clock of the store."""

    def __init__(self, store: Store, now_ms: int) -> None:
        self.book = Logbook()
        self.clock = builders.Clock(now_ms)
        self.led = [GROUP]
        self.pauses = PauseWatch(pauses=Pauses(store.link), changed=lambda: None, log=self.book.log)
        self.watch = Freshness(
            catalog=Catalog(store.link),
            pauses=self.pauses,
            led=lambda: self.led,
            clock=self.clock,
            log=self.book.log,
        )
        self.watch.follow(applied.first(config(EACH, job("acme/other", every=RARE)), now_ms))

    async def after(self, minutes: float) -> list[str]:
        """Look again so much later; return all that was told so far."""
        self.clock.advance(minutes * 60)
        await self.pauses.look()
        await self.watch.turn()
        told = [*self.book.events("job_stale"), *self.book.events("job_fresh")]
        assert {("acme", "import")} >= {(e["tenant"], e["job"]) for e in told}
        return [e["event"] for e in self.book._capture.entries if e["event"].startswith("job_")]


async def rig_of(store: Store) -> Rig:
    """Return a rig whose clock shows the store's time, at which the jobs are applied."""
    await store.sweep(GROUP)
    return Rig(store, await store.link.now_ms(keys.pauses()))


async def end(store: Store, outcome: str, shift_minutes: int = 0) -> None:
    """Let a run end so, by the store's clock so much later."""
    await builders.register(store)
    await builders.shift(store, shift_minutes * 60_000)
    await builders.enqueue(store, builders.occurrence(due_ms=await _next(store)))
    await builders.complete(store, (await builders.claim(store)).runs[0], outcome)


async def _next(store: Store) -> int:
    return ((await schedulers.slot(store)).due_ms or builders.DUE_MS) + 1


async def test_never_ran(store: Store) -> None:
    """A job that never ran at all is stale so long after it was applied; that is told once."""
    rig = await rig_of(store)

    assert [] == await rig.after(59)
    assert ["job_stale"] == await rig.after(2)
    assert ["job_stale"] == await rig.after(600)
    assert 1 == rig.watch.stale
    assert "1h" == rig.book.events("job_stale")[0]["fresh_within"]
    assert rig.book.events("job_stale")[0]["last_success"] is None


async def test_success(store: Store) -> None:
    """A success makes it fresh again, for as long; runs that die or are cancelled do not."""
    rig = await rig_of(store)
    await rig.after(61)
    await end(store, "dead", 61)
    await end(store, "cancelled")

    assert ["job_stale"] == await rig.after(0)
    await end(store, "succeeded")
    assert ["job_stale", "job_fresh"] == await rig.after(0)
    assert 0 == rig.watch.stale
    assert ["job_stale", "job_fresh"] == await rig.after(58)
    assert ["job_stale", "job_fresh", "job_stale"] == await rig.after(3)


async def test_looks_only_when_it_matters(store: Store) -> None:
    """A job is not looked at before it would be stale."""
    rig = await rig_of(store)
    await rig.after(0)
    await store.link.command("HSET", keys.slot(GROUP, REF), "ok", "nonsense")
    await rig.after(30)
    await store.link.command("DEL", keys.slot(GROUP, REF))

    assert ["job_stale"] == await rig.after(31)


async def test_paused(store: Store) -> None:
    """While it is paused nobody expects anything; from then on it has its time again."""
    rig = await rig_of(store)
    await rig.after(61)
    await Pauses(store.link).pause("acme", by="ann@ops", why="")

    assert ["job_stale", "job_fresh"] == await rig.after(0)
    assert "paused" == rig.book.events("job_fresh")[0]["reason"]
    assert 0 == rig.watch.stale
    known = await Pauses(store.link).read()
    await Pauses(store.link)._change(known, "acme", (_ended(rig),), rig.clock.now_ms())
    assert 2 == len(await rig.after(59))
    assert ["job_stale"] == (await rig.after(2))[2:]


def _ended(rig: Rig) -> Pause:
    return Pause(by="ann@ops", since_ms=1, until_ms=rig.clock.now_ms())


async def test_other_leader(store: Store) -> None:
    """What another scheduler leads is its business; who leads it again looks anew."""
    rig = await rig_of(store)
    await rig.after(61)
    rig.led = []
    await rig.after(0)

    assert 0 == rig.watch.stale
    rig.led = [GROUP]
    assert ["job_stale", "job_stale"] == await rig.after(0)


async def test_store_emptied(store: Store) -> None:
    """After a store was emptied a job has its time again, as its last success is forgotten."""
    rig = await rig_of(store)
    await end(store, "succeeded")
    await store.link.command("FLUSHALL")
    await builders.shift(store, 50 * 60_000)
    await store.sweep(GROUP)  # who knows the group opens its gate

    assert [] == await rig.after(61)
    assert ["job_stale"] == await rig.after(50)


async def test_not_promised_any_more(store: Store) -> None:
    """A job that promises nothing any more is not stale."""
    rig = await rig_of(store)
    await rig.after(61)
    rig.watch.follow(applied.first(config(job(every=RARE)), rig.clock.now_ms()))

    assert 0 == rig.watch.stale


async def test_in_a_scheduler(url: str, store: Store) -> None:
    """A scheduler tells of the jobs that it leads."""
    each = job(every=RARE, fresh_within_ms=100)
    async with schedulers.running(url, each) as rig:

        def told() -> bool:
            rig.daemon._freshness.wake()
            return bool(rig.book.events("job_stale"))

        await probe.until(told)
