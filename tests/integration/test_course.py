"""What waits is run in its turn: over a takeover, after an outage, and beside other runs."""

from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.run import Claimed
from rota.common.store import Store
from rota.scheduler.leader import TTL
from rota.scheduler.schedule import due_of
from rota.worker import Context, Jobs
from tests.support import builders, probe, schedulers, workers
from tests.support.builders import GROUP, HANDLER, HOUR_MS
from tests.support.definitions import job
from tests.support.kept import flying, ledger, set_cursor, stretches
from tests.support.ledgers import holes
from tests.support.schedulers import REF

CLOCK = SystemClock()


async def ended(store: Store, many: int, ref: str = REF) -> list[Claimed]:
    """Claim and complete so many runs of one job, one after the other; return them."""
    found: list[Claimed] = []

    async def claim() -> list[Claimed]:
        return (await builders.claim(store)).runs

    while len(found) < many:
        (run,) = await probe.found(claim)
        await builders.complete(store, run)
        if run.job_id.startswith(f"{ref}:"):
            found.append(run)
    return found


async def test_takeover_while_occurrences_wait(url: str, store: Store) -> None:
    """What waits for a run to end is run in order by whoever leads then, each once."""
    each = job(every="400ms", overlap="queue_all")
    async with schedulers.beside(url, each) as first:
        await first.leads()
        run = await schedulers.claimed(store)
        await probe.until(lambda: len(first.book.events("occurrence_waits")) >= 3)
        await first.crash()
        await builders.shift(store, round(TTL * 1000))  # its lead is over
        async with schedulers.beside(url, each) as second:
            await second.leads()
            await builders.complete(store, run)
            runs = [run, *await ended(store, 6)]
    dues = [each.due_ms for each in runs]
    entries = await ledger(store)

    assert [run.due_ms + n * 400 for n in range(7)] == dues
    assert [] == first.enqueued()[1:]
    assert [] == holes(each, entries, await flying(store), run.due_ms - 1)


async def test_takeover_in_the_midst_of_a_line(url: str, store: Store) -> None:
    """What has waited goes on to wait when its scheduler dies behind the first of the line."""
    each = job(every="400ms", overlap="queue_all")
    async with schedulers.beside(url, each) as first:
        await first.leads()
        run = await schedulers.claimed(store)
        await probe.until(lambda: len(first.book.events("occurrence_waits")) >= 5)
        await builders.complete(store, run)
        await probe.until(lambda: len(first.enqueued()) == 2)
        await first.crash()
        await builders.shift(store, round(TTL * 1000))  # its lead is over
        async with schedulers.beside(url, each) as second:
            await second.leads()
            dues = [found.due_ms for found in await ended(store, 5)]

    assert [run.due_ms + n * 400 for n in range(1, 6)] == dues


async def test_live_first(url: str, store: Store) -> None:
    """Of what was missed a few at a time are made up for, and what is due now is not held up."""
    late = [job(f"t{n}/late", every="1h", misfire="all") for n in range(30)]
    live = job("acme/live", every="100ms", overlap="allow")
    for each in late:
        await set_cursor(store, CLOCK.now_ms() - 6 * HOUR_MS, each.ref)
    async with schedulers.beside(url, *late, live) as rig:
        rig.daemon.engine.limit({GROUP: 4})
        await probe.until(lambda: len(rig.enqueued(live.ref)) >= 3)
        queued = await Catalog(store.link).queued(GROUP)
        in_flight = sum(count for tenant, count in queued.items() if tenant != "acme")
        await builders.register(store)

        async def worked() -> bool:
            for run in (await builders.claim(store, 8)).runs:
                await builders.complete(store, run)
            return all(rig.enqueued(each.ref) for each in late)

        await probe.found(worked)

    assert 4 >= in_flight
    assert {"acme"} < set(queued)


async def test_allow(url: str, store: Store) -> None:
    """With `allow` runs are enqueued beside each other, and each end is told of its own run."""
    each = job(every="100ms", overlap="allow")
    async with schedulers.running(url, each) as rig:
        first = await schedulers.claimed(store)
        await probe.until(lambda: len(rig.enqueued()) >= 4)
        second = await schedulers.claimed(store)
        in_flight = len(rig.daemon._awaited)
        await builders.complete(store, second)
        await builders.complete(store, first)
        await probe.until(lambda: len(rig.heard) == 2)
        rig.daemon.engine.stop()
    entries = await ledger(store)

    assert in_flight >= 3
    assert [first.due_ms, second.due_ms] == sorted(entry.at_ms for entry in entries)
    assert [] == await stretches(store)
    assert second.due_ms == first.due_ms + 100


async def test_allow_is_taken_over(url: str, store: Store) -> None:
    """Runs beside each other that a dead scheduler left do not keep the next one from going on."""
    each = job(every="100ms", overlap="allow")
    async with schedulers.beside(url, each) as first:
        await first.leads()
        await probe.until(lambda: len(first.enqueued()) >= 3)
        await first.crash()
        await builders.shift(store, round(TTL * 1000))
        async with schedulers.beside(url, each) as second:
            await probe.until(lambda: len(second.enqueued()) >= 2)
    queued = await Catalog(store.link).queued(GROUP)

    assert set(first.enqueued()).isdisjoint(second.enqueued())
    assert len(first.enqueued()) + len(second.enqueued()) <= queued["acme"]


async def test_missed(url: str, store: Store) -> None:
    """A handler is told the times that its run makes up for, as aware datetimes in order."""
    jobs, told = Jobs(), list[tuple[list[int], int]]()

    @jobs.handler(HANDLER)
    async def work(ctx: Context) -> None:
        told.append(([round(each.timestamp() * 1000) for each in ctx.missed], ctx.due_ms))

    each, before_ms = job(every="10m"), CLOCK.now_ms() - HOUR_MS
    await set_cursor(store, before_ms)
    async with workers.working(url, jobs), schedulers.running(url, each):
        await probe.until(lambda: told)
    due, times = due_of(each), [due_of(each).next_after(before_ms) or 0]
    while (following := due.next_after(times[-1]) or 0) <= told[0][1]:
        times.append(following)

    assert (times[:-1], times[-1]) == told[0]
