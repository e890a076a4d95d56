"""What can be read of a run's tasks while they run, and when some are dead."""

from rota.common import fan_out
from rota.common.job import Tasks
from rota.common.message import Failure
from rota.common.store import Store
from tests.support import builders, fans
from tests.support.builders import GROUP, HOUR_MS, WORKER


async def test_no_tasks(store: Store) -> None:
    """A run that is no planner's has no tasks, nor has one that nobody knows."""
    held = await fans.begin(store)

    assert await fan_out.read(GROUP, held.job_id, store.link) is None
    assert await fan_out.read(GROUP, "acme/none:1", store.link) is None


async def test_counts(store: Store) -> None:
    """Each task that was planned counts once, under what became of it."""
    held = await fans.fan_out(store, 100)
    first, second, third, *_ = await fans.claim_all(store, 5)
    error = Failure(kind="Broken", message="it is")
    told = builders.completion(first, "dead", error=error)
    await store.exchange(WORKER, [builders.ended(first, "dead")._replace(completion=told)], [], {})
    await builders.complete(store, second)
    await builders.retry(store, third)
    found = await fan_out.read(GROUP, held.job_id, store.link)

    assert found
    assert (100, 1, 1, 0) == (found.planned, found.succeeded, found.dead, found.cancelled)
    assert (2, 96, True, 1) == (found.running, found.waiting, found.whole, found.phase)
    (dead,) = found.failures
    assert (first.job_id, "Broken", "it is", 1, WORKER) == dead[:5]


async def test_stragglers_first(store: Store) -> None:
    """Of the tasks that run the one that has run the longest is the first."""
    held = await fans.fan_out(store, 3)
    slow = (await fans.claim_all(store, 1))[0]
    await builders.shift(store, 5_000)
    await fans.claim_all(store, 1)
    found = await fan_out.read(GROUP, held.job_id, store.link)

    assert found
    assert slow.job_id == found.live[0].job_id
    assert found.live[0].started_ms <= found.live[1].started_ms - 5_000
    assert ["running", "running", "queued"] == [task.state for task in found.live]
    assert [3, 2, 1] == [task.size for task in found.live]


async def test_while_planning(store: Store) -> None:
    """What is planned so far is told, too."""
    held = await fans.begin(store, tasks=Tasks(early=True))
    await fans.plan(store, held, fans.tasks(3))
    found = await fan_out.read(GROUP, held.job_id, store.link)

    assert found
    assert (3, False) == (found.planned, found.whole)


async def test_after_death(store: Store) -> None:
    """The tasks of a dead letter can be seen as long as it can be replayed."""
    held = await fans.fan_out(store, 3)
    for each in await fans.claim_all(store):
        await builders.complete(store, each, "dead")
    await builders.shift(store, HOUR_MS)
    found = await fan_out.read(GROUP, held.job_id, store.link)

    assert found
    assert 3 == found.dead == len(found.failures)
