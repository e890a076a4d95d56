"""Cancel, replay and purge: what somebody wants to end ends once, and never undoes a completion."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.dead_letters import DeadLetters
from rota.common.intervention import Intervention
from rota.common.state import State
from rota.common.store import GATED, Store
from tests.support import builders, workers
from tests.support.builders import DUE_MS, GROUP, HOUR_MS, WORKER, Seeded

WAITING = [State.QUEUED, State.HELD, State.RETRYING]


async def cancel(store: Store, seeded: Seeded) -> str:
    """Cancel a run; return the word."""
    return (await Intervention(store).cancel([(GROUP, seeded.run.job_id)]))[seeded.run.job_id]


async def outcomes(store: Store) -> list[str]:
    """Return the outcomes that were published, in order."""
    return [told.outcome for told in await workers.completions(store)]


@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize("keep_ms", [0, HOUR_MS])
async def test_waiting_run(store: Store, state: State, keep_ms: int) -> None:
    """A run that waits is over at once: told once, its record kept only if somebody wants it."""
    seeded = await builders.seed(store, state, keep_ms=keep_ms)
    words = [await cancel(store, seeded), await cancel(store, seeded)]
    slot = (await Catalog(store.link).slots(GROUP, ["acme/import"]))[0]

    assert ["cancelled", "over"] == words
    assert 1 == (await outcomes(store)).count("cancelled")
    assert (None, "cancelled", seeded.run.job_id) == (slot.run, slot.outcome, slot.last)
    assert (State.CANCELLED if keep_ms else None) == await builders.state_of(
        store, seeded.run.job_id
    )


@pytest.mark.parametrize("state", WAITING)
async def test_nothing_is_left(store: Store, state: State) -> None:
    """Of a run that was cancelled no pointer is left: nobody claims it, and no list counts it."""
    seeded = await builders.seed(store, state, keep_ms=0)
    await cancel(store, seeded)
    counts = await Catalog(store.link).counts(GROUP)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)

    assert (0, {}, 0, 0, 0, 0, {}) == tuple(counts)
    assert [] == (await builders.claim(store)).runs


async def test_running_run(store: Store) -> None:
    """A running run goes on; its worker hears of it by its list, once, and with every renewal."""
    seeded = await builders.seed(store, State.RUNNING)
    words = [await cancel(store, seeded), await cancel(store, seeded)]
    heard = await Intervention(store).listen(GROUP, WORKER)
    left = await store.link.command("EXISTS", keys.control(GROUP, WORKER))
    renewed: list[object] = []
    lost = await store.renew([seeded.run], cancel=renewed.append)

    assert ["cancelling", "cancelling"] == words
    assert (seeded.run.job_id, seeded.run.fence) == heard
    assert 0 == left
    assert ([], []) == lost
    assert [seeded.run] == renewed
    assert State.RUNNING is await builders.state_of(store, seeded.run.job_id)


@pytest.mark.parametrize("outcome", ["succeeded", "dead", "cancelled"])
async def test_completion_wins(store: Store, outcome: str) -> None:
    """Whatever a worker completes the run with stands, though somebody cancelled it before."""
    seeded = await builders.seed(store, State.RUNNING)
    await cancel(store, seeded)
    word = await builders.complete(store, seeded.run, outcome)

    assert "completed" == word
    assert State(outcome) is await builders.state_of(store, seeded.run.job_id)
    assert "over" == await cancel(store, seeded)
    assert [outcome] == await outcomes(store)


async def test_failure_after_cancel(store: Store) -> None:
    """A cancelled run whose attempt fails is not tried again."""
    seeded = await builders.seed(store, State.RUNNING)
    await cancel(store, seeded)
    word = await builders.retry(store, seeded.run)

    assert "retrying" == word
    assert State.CANCELLED is await builders.state_of(store, seeded.run.job_id)
    assert ["cancelled"] == await outcomes(store)


async def test_worker_dies_after_cancel(store: Store) -> None:
    """A cancelled run whose worker falls silent ends as cancelled; its late completion is stale."""
    seeded = await builders.seed(store, State.RUNNING)
    await cancel(store, seeded)
    await builders.shift(store, HOUR_MS)
    rescued, _ = await store.sweep(GROUP)

    assert ["cancelled"] == [run.state for run in rescued]
    assert "stale" == await builders.complete(store, seeded.run)
    assert ["cancelled"] == await outcomes(store)


async def test_stale_report_after_cancel(store: Store) -> None:
    """A worker that held an earlier attempt of a cancelled run can write nothing."""
    seeded = await builders.seed(store, State.RETRYING)
    await cancel(store, seeded)

    assert "stale" == await builders.complete(store, seeded.run)
    assert "lost" == await builders.renew(store, seeded.run)
    assert ["lost"] == await builders.adopt(store, seeded.run)


async def test_cancelled_occurrence_is_past(store: Store) -> None:
    """The occurrence of a cancelled run is not enqueued again; the next one is."""
    seeded = await builders.seed(store, State.QUEUED, keep_ms=0)
    await cancel(store, seeded)
    later = builders.occurrence(due_ms=DUE_MS + 1)
    words = [(await builders.enqueue(store, run))[0][0] for run in (seeded.occurrence, later)]

    assert ["past", "queued"] == words


async def test_unknown_run(store: Store) -> None:
    """A run that nobody has enqueued can't be cancelled, replayed or purged."""
    seeded = await builders.seed(store, None)
    intervention = Intervention(store)

    assert "unknown" == await cancel(store, seeded)
    assert "unknown" == (await intervention.replay(GROUP, seeded.run.job_id))[0]
    assert not await intervention.purge(GROUP, seeded.run.job_id)


async def test_gate(store: Store) -> None:
    """While the gate is open nothing is cancelled or replayed: a worker may know better."""
    seeded = await builders.seed(store, State.QUEUED)
    await builders.change_server(store)

    assert GATED == await cancel(store, seeded)
    assert GATED == (await Intervention(store).replay(GROUP, seeded.run.job_id))[0]
    assert State.QUEUED is await builders.state_of(store, seeded.run.job_id)


async def test_replay(store: Store) -> None:
    """A replayed dead letter is the same run with all its attempts, and a dead letter no more."""
    seeded = await builders.seed(store, State.DEAD, keep_ms=0)
    word = await Intervention(store).replay(GROUP, seeded.run.job_id)
    again = (await builders.claim(store)).runs[0]

    assert ("queued", seeded.run.job_id) == word
    assert [] == await DeadLetters(store.link).of(GROUP)
    assert (seeded.run.job_id, 1, DUE_MS, seeded.run.body) == (
        again.job_id,
        again.attempt,
        again.due_ms,
        again.body,
    )
    assert seeded.run.fence < again.fence
    assert -1 == await store.link.command("PTTL", keys.run(GROUP, seeded.run.job_id))
    assert "completed" == await builders.complete(store, again)
    assert ["dead", "succeeded"] == await outcomes(store)


async def test_replay_twice(store: Store) -> None:
    """A replay that is asked for again, because its reply was lost, starts nothing more."""
    seeded = await builders.seed(store, State.DEAD)
    intervention = Intervention(store)
    words = [(await intervention.replay(GROUP, seeded.run.job_id))[0] for _ in range(2)]

    assert ["queued", "unknown"] == words
    assert 1 == len((await builders.claim(store, 10)).runs)


async def test_replay_of_a_busy_job(store: Store) -> None:
    """A dead letter whose job has another run in flight is not replayed, and stays."""
    seeded = await builders.seed(store, State.DEAD)
    later = builders.occurrence(due_ms=DUE_MS + 1)
    await builders.enqueue(store, later)
    word = await Intervention(store).replay(GROUP, seeded.run.job_id)

    assert ("busy", later.job_id) == word
    assert [seeded.run.job_id] == [x.job_id for x in await DeadLetters(store.link).of(GROUP)]


async def test_purge(store: Store) -> None:
    """A purged dead letter is gone with its payload; nothing but a dead letter is purged."""
    seeded = await builders.seed(store, State.DEAD)
    intervention = Intervention(store)
    purged = [await intervention.purge(GROUP, seeded.run.job_id) for _ in range(2)]

    assert [True, False] == purged
    assert [] == await DeadLetters(store.link).of(GROUP)
    assert await builders.state_of(store, seeded.run.job_id) is None
