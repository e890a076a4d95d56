"""Adoption: a live worker brings back what the store has forgotten, and never what is over."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.run import Claimed
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders, recount, rollback
from tests.support.builders import DUE_MS, GROUP, HOUR_MS, WORKER

BY_BELIEF = pytest.mark.parametrize("belief", rollback.BELIEFS, ids=str)
LATER = builders.occurrence(due_ms=DUE_MS + 60_000)


async def held(store: Store) -> Claimed:
    """Return a run that a worker holds and of which the store has lost all."""
    run = (await builders.seed(store, State.RUNNING)).run
    await store.link.command("FLUSHALL")
    await builders.close_gate(store)
    await builders.register(store)
    return run


async def assert_lost(store: Store, run: Claimed) -> None:
    """Assert that a run can't be adopted, and that trying changes no key."""
    await builders.close_gate(store)
    before = await builders.snapshot(store, virtual=False)

    assert ["lost"] == await builders.adopt(store, run)
    assert before == await builders.snapshot(store, virtual=False)
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_forgotten_claim(store: Store, belief: State | None) -> None:
    """Whatever the store believes of the run, its live worker keeps it, under the same fence."""
    run = await rollback.forget_claim(store, belief)

    assert "unknown" == await builders.renew(store, run)
    assert ["adopted"] == await builders.adopt(store, run)
    assert "renewed" == await builders.renew(store, run)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert (run.job_id, DUE_MS) == (slot.run, slot.due_ms)
    assert [(run.job_id, WORKER, run.attempt)] == [
        each[:3] for each in await Catalog(store.link).running(GROUP)
    ]
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_nobody_else_starts_it(store: Store, belief: State | None) -> None:
    """A run that was adopted is in flight as before: nobody can claim it, nor enqueue its job."""
    run = await rollback.forget_claim(store, belief)
    await builders.adopt(store, run)
    await builders.close_gate(store)
    words = await builders.enqueue(store, builders.occurrence(), LATER)

    assert [("duplicate", run.job_id), ("busy", run.job_id)] == words
    assert [] == (await builders.claim(store, n=5)).runs
    assert State.RUNNING == await builders.state_of(store, run.job_id)
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_it_ends_as_any_run(store: Store, belief: State | None) -> None:
    """A run that was adopted completes once, and its schedule goes on behind it."""
    run = await rollback.forget_claim(store, belief)
    await builders.adopt(store, run)
    await builders.close_gate(store)
    await builders.renew(store, run)
    word = await builders.complete(store, run)
    words = await builders.enqueue(store, builders.occurrence(), LATER)

    assert "completed" == word
    assert ["past", "queued"] == [word for word, _ in words]
    assert [LATER.job_id] == [each.job_id for each in (await builders.claim(store, n=5)).runs]
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_twice(store: Store, belief: State | None) -> None:
    """A run that is adopted again, because the reply was lost, is adopted once."""
    run = await rollback.forget_claim(store, belief)
    await builders.adopt(store, run)
    await builders.shift(store, 1_000)
    before = await builders.snapshot(store, virtual=False)
    again = await builders.adopt(store, run)
    after = await builders.snapshot(store, virtual=False)
    ends = before.pop(keys.leases(GROUP)), after.pop(keys.leases(GROUP))

    assert ["adopted"] == again
    assert ends[0][1][run.job_id.encode()] < ends[1][1][run.job_id.encode()]
    assert before == after


@pytest.mark.parametrize("due_ms", [0, DUE_MS])
async def test_after_everything_was_lost(store: Store, due_ms: int) -> None:
    """A worker brings its run back to an empty store with all that it takes to try it again."""
    seeded = await builders.seed(store, State.RUNNING, due_ms=due_ms)
    await store.link.command("FLUSHALL")
    adopted = await builders.adopt(store, seeded.run)
    await builders.close_gate(store)
    await builders.register(store)
    await builders.retry(store, seeded.run)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    (again,) = (await builders.claim(store)).runs

    assert ["adopted"] == adopted
    assert (2, due_ms, seeded.run.body) == (again.attempt, again.due_ms, again.body)
    assert again.fence > seeded.run.fence
    assert {} == await recount.differences(store)


async def test_triggered_run(store: Store) -> None:
    """A run that somebody triggered stands for no occurrence; its result is kept for an hour."""
    run = (await builders.seed(store, State.RUNNING, due_ms=0)).run
    await store.link.command("FLUSHALL")
    await builders.adopt(store, run)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])
    await builders.complete(store, run)

    assert (run.job_id, None) == (slot.run, slot.due_ms)
    assert State.SUCCEEDED == await builders.state_of(store, run.job_id)
    assert 0 < await store.link.command("PTTL", keys.run(GROUP, run.job_id)) <= HOUR_MS


async def test_record_keeps_what_was_asked(store: Store) -> None:
    """A run of which the store has the record is kept for as long as was asked."""
    seeded = await builders.seed(store, State.QUEUED, keep_ms=90_000)
    run = seeded.run._replace(fence=2**52)
    await builders.adopt(store, run)
    await builders.complete(store, run)

    assert 80_000 < await store.link.command("PTTL", keys.run(GROUP, run.job_id)) <= 90_000


async def test_next_fence(store: Store) -> None:
    """Whoever claims next gets a higher fence than any that was brought back."""
    run = (await held(store))._replace(fence=2**52)
    await builders.adopt(store, run)
    await builders.enqueue(store, builders.occurrence(job="next"))

    assert (await builders.claim(store)).runs[0].fence > run.fence


async def test_worker_that_dies_afterwards(store: Store) -> None:
    """A run that was adopted has a lease: it is taken back, with the attempts that it had."""
    run = (await held(store))._replace(attempt=2)
    await builders.adopt(store, run)
    await builders.shift(store, LEASE_MS)
    taken, _ = await store.sweep(GROUP)
    (again,) = (await builders.claim(store)).runs

    assert [(run.job_id, 2, "queued")] == [(r.job_id, r.attempt, r.state) for r in taken]
    assert (3, run.body) == (again.attempt, again.body)


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.RUNNING, State.RETRYING])
async def test_superseded(store: Store, state: State) -> None:
    """What holds the job under no fence, or an older one, gives way; no trace of it is left."""
    seeded = await builders.seed(store, state, keep_ms=0)
    ours = builders.occurrence(due_ms=DUE_MS + 60_000)
    run = Claimed(GROUP, ours.job_id, seeded.run.fence + 1, 1, ours.due_ms, ours.body)

    assert ["adopted"] == await builders.adopt(store, run)
    assert await builders.state_of(store, seeded.occurrence.job_id) is None
    assert {} == await recount.differences(store)
    await builders.shift(store, HOUR_MS)
    await builders.renew(store, run)
    await store.sweep(GROUP)
    assert [] == (await builders.claim(store, n=5)).runs
    assert "completed" == await builders.complete(store, run)
    assert {} == await recount.differences(store)
    assert {} == recount.states(await builders.snapshot(store))


@pytest.mark.parametrize("state", [State.RUNNING, State.RETRYING, State.QUEUED])
@pytest.mark.parametrize("other", ["itself", "another run"])
async def test_newer_claim(store: Store, state: State, other: str) -> None:
    """A run is not brought back when it, or its job, has been claimed since."""
    run = await held(store)
    occurrence = builders.occurrence() if other == "itself" else LATER
    await builders.enqueue(store, occurrence)
    (newer,) = (await builders.claim(store)).runs
    if state is State.RETRYING:
        await builders.retry(store, newer)
    elif state is State.QUEUED:
        await builders.shift(store, LEASE_MS)
        await store.sweep(GROUP)

    await assert_lost(store, run)
    assert state == await builders.state_of(store, newer.job_id)


@pytest.mark.parametrize("how", ["succeeded", "dead", "rescued"])
@pytest.mark.parametrize("other", ["itself", "another run"])
async def test_over_since(store: Store, how: str, other: str) -> None:
    """A run is not brought back when it, or a later run of its job, has come to its end since."""
    run = await held(store)
    occurrence = builders.occurrence if other == "itself" else LATER._replace
    await builders.enqueue(store, occurrence(attempts=1))
    (newer,) = (await builders.claim(store)).runs
    if how == "rescued":
        await builders.shift(store, LEASE_MS)
        await store.sweep(GROUP)
    else:
        await builders.complete(store, newer, how)

    await assert_lost(store, run)
    assert "lost" == await builders.renew(store, run)


async def test_over_under_an_older_fence(store: Store) -> None:
    """A run is over when a worker has completed it whose claim the store took for the last one."""
    run = await rollback.forget_claim(store, State.RUNNING)
    older = int(await store.link.command("HGET", keys.run(GROUP, run.job_id), "fence"))
    word = await builders.complete(store, run._replace(fence=older))

    assert older < run.fence
    assert "completed" == word
    assert "lost" == await builders.renew(store, run)
    assert "stale" == await builders.complete(store, run)
    await assert_lost(store, run)


async def test_newest_of_two(store: Store) -> None:
    """Of two workers that bring back one job the newer claim wins, whoever comes first."""
    older, newer = (
        await held(store),
        Claimed(GROUP, LATER.job_id, 2**52, 1, LATER.due_ms, LATER.body),
    )
    first = await builders.adopt(store, older)
    second = await builders.adopt(store, newer)
    third = await builders.adopt(store, older)

    assert [["adopted"], ["adopted"], ["lost"]] == [first, second, third]
    assert ("unknown", "renewed") == (
        await builders.renew(store, older),
        await builders.renew(store, newer),
    )
    assert {} == await recount.differences(store)


async def test_many(store: Store) -> None:
    """Of many runs in one batch each is judged alone, and the counters are right."""
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(f"t{n % 3}", f"job{n}") for n in range(9)))
    saved = await backup.take(store.link)
    runs = (await builders.claim(store, n=9)).runs
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    await builders.complete(store, runs[4])
    words = await builders.adopt(store, *runs)

    assert ["adopted"] * 4 + ["lost"] + ["adopted"] * 4 == words
    assert ([], []) == await store.renew(runs[:4] + runs[5:])
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_gate_closed(store: Store, belief: State | None) -> None:
    """A worker that comes late keeps its run as long as nobody else has it."""
    run = await rollback.forget_claim(store, belief)
    await builders.close_gate(store)

    assert ["adopted"] == await builders.adopt(store, run)
    assert "completed" == await builders.complete(store, run)
    assert {} == await recount.differences(store)
