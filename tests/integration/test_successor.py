"""Jobs that start on the success of others, whatever becomes of the scheduler meanwhile."""

from typing import Any

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.ledger import Entry, Ledger
from rota.common.store import Store
from rota.scheduler.applied import Since
from rota.scheduler.successor import Successor
from rota.scheduler.withheld import by_blackout
from tests.support import builders, probe, schedulers
from tests.support.builders import DUE_MS, GROUP
from tests.support.definitions import job
from tests.support.logbook import Logbook
from tests.support.schedulers import RARE

NEXT = "acme/next"


def follower(**over: Any) -> Job:
    """Return a job that starts on the success of acme/import."""
    return job(NEXT, completed="import", **over)


def successor(store: Store, *jobs: Job, since: Since | None = None) -> Successor:
    """Return what starts these jobs."""
    found = Successor(
        GROUP,
        store=store,
        catalog=Catalog(store.link),
        withhold=by_blackout,
        log=Logbook().log,
    )
    found.follow(jobs, {each.ref: since for each in jobs} if since else {})
    return found


async def end(store: Store, outcome: str = "succeeded", due_ms: int = DUE_MS) -> int:
    """Let a run of acme/import end; return when it did."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(due_ms=due_ms))
    (run,) = (await builders.claim(store)).runs
    await builders.complete(store, run, outcome)
    return (await schedulers.slot(store)).ended_ms or 0


async def in_flight(store: Store) -> str | None:
    """Return the run of the job that waits."""
    return (await schedulers.slot(store, NEXT)).run


async def entries(store: Store) -> list[Entry]:
    """Return what the ledger holds of the job that waits."""
    return await Ledger(store.link).of(GROUP, NEXT, 0)


async def test_success_starts_it(store: Store) -> None:
    """It is due when the other job's run ended, and starts once for each success."""
    starts = successor(store, follower())
    await starts.turn()
    assert await in_flight(store) is None
    ended_ms = await end(store)
    for _ in range(3):
        await starts.turn()
    (run,) = (await builders.claim(store, 5)).runs
    await builders.complete(store, run)
    await starts.turn()

    assert ended_ms == run.due_ms
    assert await in_flight(store) is None


async def test_failure_does_not(store: Store) -> None:
    """A run that died or was cancelled starts nothing."""
    for number, outcome in enumerate(("dead", "cancelled")):
        await end(store, outcome, DUE_MS + number)
        await successor(store, follower()).turn()

        assert await in_flight(store) is None


async def test_another_scheduler_sees_the_same(store: Store) -> None:
    """What succeeded while no scheduler was there starts it later; two of them start it once."""
    await end(store)
    await successor(store, follower()).turn()
    await successor(store, follower()).turn()

    assert 1 == await store.link.command("LLEN", keys.queue(GROUP, "acme"))


async def test_what_was_before(store: Store) -> None:
    """A success from before the job was configured starts nothing."""
    ended_ms = await end(store)
    await successor(store, follower(), since=Since(known_ms=ended_ms + 1)).turn()

    assert await in_flight(store) is None


async def test_overlap(store: Store) -> None:
    """A success while its last run is not over is skipped, and the ledger says so."""
    starts = successor(store, follower())
    await end(store)
    await starts.turn()
    first = await in_flight(store)
    await builders.shift(store, 10)
    ended_ms = await end(store, due_ms=DUE_MS + 1) if await _claimed(store) else 0
    await starts.turn()
    (skipped,) = await entries(store)

    assert ("skipped", ended_ms, first) == (skipped.outcome, skipped.at_ms, skipped.way)


async def _claimed(store: Store) -> bool:
    return len((await builders.claim(store, 1)).runs) == 1


async def test_overlap_cancel(store: Store) -> None:
    """With `overlap: cancel` its last run makes room."""
    starts = successor(store, follower(overlap="cancel"))
    await end(store)
    await starts.turn()
    first = await in_flight(store)
    await store.link.command("DEL", keys.queue(GROUP, "acme"))
    await builders.shift(store, 10)
    await end(store, due_ms=DUE_MS + 1)
    await starts.turn()
    await starts.turn()

    assert await in_flight(store) not in (None, first)


async def test_gated(store: Store) -> None:
    """While the store is closed nothing starts; it is tried again soon."""
    starts = successor(store, follower())
    await end(store)
    await builders.change_server(store)
    assert 0.5 == await starts.turn()
    await builders.close_gate(store)
    await starts.turn()

    assert await in_flight(store)


async def test_scheduler(url: str, store: Store) -> None:
    """A running scheduler starts it as soon as the other one has succeeded."""
    async with schedulers.running(url, job(every=RARE), follower()):
        await end(store)
        await probe.found(lambda: in_flight(store), 1.0)

    assert await in_flight(store)
