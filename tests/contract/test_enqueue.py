"""Enqueue: each occurrence at most once, and never beside another run of its job."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, HOUR_MS


async def test_same_occurrence_in_flight(store: Store) -> None:
    """An occurrence that is sent again while it is in flight is the same run."""
    run = builders.occurrence()
    first = await builders.enqueue(store, run)
    again = await builders.enqueue(store, run, run)

    assert [("queued", run.job_id)] == first
    assert [("duplicate", run.job_id)] * 2 == again
    assert 1 == await store.link.command("LLEN", keys.queue(GROUP, "acme"))


async def test_same_occurrence_when_it_is_over(store: Store) -> None:
    """An occurrence never runs again once it is over, nor does an earlier one."""
    seeded = await builders.seed(store, State.SUCCEEDED, keep_ms=0)
    earlier = builders.occurrence(due_ms=DUE_MS - 1)
    later = builders.occurrence(due_ms=DUE_MS + 1)
    words = await builders.enqueue(store, seeded.occurrence, earlier, later)

    assert ["past", "past", "queued"] == [word for word, _ in words]


async def test_other_occurrence_in_flight(store: Store) -> None:
    """A job never has two runs: the second is refused and told which one is in its way."""
    for state in (State.QUEUED, State.HELD, State.RUNNING, State.RETRYING):
        seeded = await builders.seed(store, state, job=state.value)
        other = builders.occurrence(job=state.value, due_ms=DUE_MS + 1)
        manual = builders.occurrence(job=state.value, due_ms=0)

        busy = ("busy", seeded.occurrence.job_id)
        assert [busy, busy] == await builders.enqueue(store, other, manual)


async def test_refused_occurrence_may_come_later(store: Store) -> None:
    """An occurrence that was refused as busy is still to be had when the slot is free."""
    seeded = await builders.seed(store, State.RUNNING)
    other = builders.occurrence(due_ms=DUE_MS + 1)
    await builders.enqueue(store, other)
    await builders.complete(store, seeded.run)

    assert [("queued", other.job_id)] == await builders.enqueue(store, other)


async def test_manual_run_takes_the_slot(store: Store) -> None:
    """A run that somebody triggers keeps occurrences out while it runs, and stands for none."""
    manual, due = builders.occurrence(due_ms=0), builders.occurrence()
    await builders.register(store)
    await builders.enqueue(store, manual)
    busy = await builders.enqueue(store, due)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])
    await builders.complete(store, (await builders.claim(store)).runs[0])

    assert [("busy", manual.job_id)] == busy
    assert slot.due_ms is None
    assert [("queued", due.job_id)] == await builders.enqueue(store, due)


async def test_manual_run_is_not_repeated(store: Store) -> None:
    """A trigger that is sent again, because its reply was lost, does not run the job again."""
    manual = builders.occurrence(due_ms=0, keep_ms=HOUR_MS)
    await builders.register(store)
    await builders.enqueue(store, manual)
    await builders.complete(store, (await builders.claim(store)).runs[0])

    assert [("past", manual.job_id)] == await builders.enqueue(store, manual)


@pytest.mark.parametrize("outcome", ["succeeded", "dead", "cancelled"])
async def test_manual_run_is_not_repeated_later(store: Store, outcome: str) -> None:
    """Nor when it is sent again after another run of the job, as long as it is kept."""
    manual = builders.occurrence(due_ms=0, keep_ms=HOUR_MS)
    await builders.register(store)
    for run in (manual, builders.occurrence()):
        await builders.enqueue(store, run)
        await builders.complete(store, (await builders.claim(store)).runs[0], outcome)

    assert [("past", manual.job_id)] == await builders.enqueue(store, manual)


async def test_manual_run_does_not_move_the_cursor(store: Store) -> None:
    """An occurrence that is over stays so when somebody has triggered the job since."""
    seeded = await builders.seed(store, State.SUCCEEDED, keep_ms=0)
    await builders.enqueue(store, builders.occurrence(due_ms=0))
    await builders.complete(store, (await builders.claim(store)).runs[0])
    words = await builders.enqueue(store, seeded.occurrence)

    assert [("past", seeded.occurrence.job_id)] == words


async def test_groups_are_apart(store: Store) -> None:
    """Groups share nothing but the round trip: the same name in two groups is two jobs."""
    run = builders.occurrence()
    words = await store.enqueue({"gold": [run], "iron": [run]})

    assert {"gold": [("queued", run.job_id)], "iron": [("queued", run.job_id)]} == words


async def test_any_bytes_arrive(store: Store) -> None:
    """A payload reaches the worker byte for byte."""
    body = bytes(range(256)) * 100
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(body=body))
    (run,) = (await builders.claim(store)).runs

    assert (body, DUE_MS, 1) == (run.body, run.due_ms, run.attempt)
