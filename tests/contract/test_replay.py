"""Replay: while the gate is open a completion that the store has forgotten is taken again, once."""

from itertools import permutations

import pytest

from rota.common import keys, message
from rota.common.catalog import Catalog
from rota.common.run import Claimed
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders, recount, rollback
from tests.support.builders import DUE_MS, GROUP, HOUR_MS, WORKER

BY_BELIEF = pytest.mark.parametrize("belief", rollback.BELIEFS, ids=str)
BY_OUTCOME = pytest.mark.parametrize("outcome", ["succeeded", "dead"])
LATER = builders.occurrence(due_ms=DUE_MS + 60_000)


async def published(store: Store) -> list[tuple[str, str]]:
    """Return the completions that whoever waits can read, without those of failed attempts."""
    _, entries = await store.completions(GROUP, "0-0")
    return [(each.job_id, each.outcome) for each, _ in entries if each.outcome != "retrying"]


@BY_BELIEF
@BY_OUTCOME
async def test_forgotten(store: Store, belief: State | None, outcome: str) -> None:
    """Whatever the store believes of the run, it ends, and whoever waits is told once."""
    run = await rollback.forget_claim(store, belief)
    word = await builders.complete(store, run, outcome)
    before = await builders.snapshot(store, virtual=False)
    again = await builders.complete(store, run, outcome)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert ("completed", "completed") == (word, again)
    assert before == await builders.snapshot(store, virtual=False)
    assert [(run.job_id, outcome)] == await published(store)
    assert (None, outcome, run.job_id, DUE_MS) == (slot.run, slot.outcome, slot.last, slot.due_ms)
    assert (State.DEAD if outcome == "dead" else None) == await builders.state_of(store, run.job_id)


@BY_BELIEF
async def test_schedule_goes_on(store: Store, belief: State | None) -> None:
    """What was completed does not run again, and the next occurrence is not held up by it."""
    run = await rollback.forget_claim(store, belief)
    await builders.complete(store, run)
    await builders.close_gate(store)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    words = await builders.enqueue(store, builders.occurrence(), LATER)

    assert [("past", run.job_id), ("queued", LATER.job_id)] == words
    assert [LATER.job_id] == [each.job_id for each in (await builders.claim(store, n=5)).runs]
    assert {} == await recount.differences(store)


@BY_BELIEF
async def test_gate_closed(store: Store, belief: State | None) -> None:
    """When the gate is closed a forgotten completion is refused, and no key changes."""
    run = await rollback.forget_claim(store, belief)
    await builders.close_gate(store)
    before = await builders.snapshot(store, virtual=False)

    assert "stale" == await builders.complete(store, run)
    assert before == await builders.snapshot(store, virtual=False)


async def test_lost_completion(store: Store) -> None:
    """A run that the store believes to be running, as claimed, ends as if for the first time."""
    seeded = await builders.seed(store, State.RUNNING)
    saved = await backup.take(store.link)
    await builders.complete(store, seeded.run)
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    await builders.close_gate(store)

    assert "completed" == await builders.complete(store, seeded.run)
    assert [(seeded.run.job_id, "succeeded")] == await published(store)
    assert {} == await recount.differences(store)


async def test_completion_that_was_not_lost(store: Store) -> None:
    """A worker may send all that it has completed lately: what the store knows changes nothing."""
    first = await builders.seed(store, State.SUCCEEDED, keep_ms=0)
    second = await rollback.hold(store, builders.Seeded(LATER, first.run))
    await builders.complete(store, second)
    await builders.change_server(store)
    await store.sweep(GROUP)
    before = await builders.snapshot(store, virtual=False)
    words = [await builders.complete(store, run) for run in (first.run, second)]

    assert ["stale", "completed"] == words  # of an older run the store can't tell any more
    assert before == await builders.snapshot(store, virtual=False)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_any_order(store: Store, order: tuple[int, ...]) -> None:
    """Several runs of one job, completed and forgotten, come back in any order: none runs again."""
    dues = [DUE_MS + number for number in range(3)]
    first = await builders.seed(store, State.QUEUED, keep_ms=0)
    saved = await backup.take(store.link)
    runs = []
    for due_ms in dues:
        occurrence = builders.occurrence(due_ms=due_ms)
        runs.append(await rollback.hold(store, builders.Seeded(occurrence, first.run)))
        await builders.complete(store, runs[-1])
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    for number in order:
        await builders.complete(store, runs[number])
    await builders.close_gate(store)
    words = await builders.enqueue(
        store, *(builders.occurrence(due_ms=due_ms) for due_ms in dues), LATER
    )
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert ["past", "past", "past", "queued"] == [word for word, _ in words]
    assert [LATER.job_id] == [each.job_id for each in (await builders.claim(store, n=5)).runs]
    assert runs[2].job_id == slot.last
    assert len(set(await published(store))) == len(await published(store))
    assert {} == await recount.differences(store)


@pytest.mark.parametrize("other", ["itself", "another run"])
async def test_newer_claim(store: Store, other: str) -> None:
    """When the run, or its job, has been claimed since, that claim stands and ends as any other."""
    old = (await builders.seed(store, State.RUNNING)).run
    await store.link.command("FLUSHALL")
    await builders.close_gate(store)
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence() if other == "itself" else LATER)
    (newer,) = (await builders.claim(store)).runs
    await builders.change_server(store)
    word = await builders.complete(store, old)

    if other == "itself":
        assert "stale" == word
    assert "renewed" == await builders.renew(store, newer)
    assert "completed" == await builders.complete(store, newer)
    assert {} == await recount.differences(store)


async def test_forgotten_retry(store: Store) -> None:
    """A failure that the store has forgotten is refused: its worker brings the run back first."""
    run = await rollback.forget_claim(store, State.QUEUED)
    refused = await builders.retry(store, run)
    await builders.adopt(store, run)

    assert ("stale", "retrying") == (refused, await builders.retry(store, run))
    assert State.RETRYING == await builders.state_of(store, run.job_id)


@pytest.mark.parametrize("belief", [None, State.QUEUED])
async def test_result_that_somebody_waits_for(store: Store, belief: State | None) -> None:
    """The result of a run that somebody triggered is kept, also when the store forgot the wish."""
    run = await rollback.forget_claim(store, belief, due_ms=0)
    report = builders.ended(run, result=message.encode({"rows": 3}))
    await store.exchange(WORKER, [report], [], {})
    record = await Catalog(store.link).run(GROUP, run.job_id)

    if belief is None:
        assert (b"succeeded", report.result) == (record["state"], record["result"])
        assert 0 < await store.link.command("PTTL", keys.run(GROUP, run.job_id)) <= HOUR_MS
    else:
        assert {} == record  # nobody wished for it


async def test_dead_letter(store: Store) -> None:
    """A run that died and was forgotten is a dead letter that names its job."""
    run = (await builders.seed(store, State.RUNNING)).run
    await store.link.command("FLUSHALL")
    await builders.complete(store, run, "dead")
    record = await Catalog(store.link).run(GROUP, run.job_id)
    letters = await store.link.command("ZRANGE", keys.dead(GROUP), 0, -1)

    assert [run.job_id.encode()] == letters
    assert (b"acme", b"import", str(DUE_MS).encode()) == (
        record["tenant"],
        record["job"],
        record["due"],
    )


async def test_zombie(store: Store) -> None:
    """An open gate lets nobody in whose run was taken back: that the store has not forgotten."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)
    await builders.change_server(store)

    assert "stale" == await builders.complete(store, seeded.run)
    assert "lost" == await builders.renew(store, seeded.run)
    assert ["lost"] == await builders.adopt(store, seeded.run)
    assert State.QUEUED == await builders.state_of(store, seeded.run.job_id)


async def test_unheard_of(store: Store) -> None:
    """A completion of something that is no run of ours is refused, and no key changes."""
    await builders.seed(store, State.RUNNING)
    await builders.change_server(store)
    await store.sweep(GROUP)
    before = await builders.snapshot(store, virtual=False)
    run = Claimed(GROUP, "nonsense", 2**52, 1, DUE_MS, b"")

    assert "stale" == await builders.complete(store, run)
    assert before == await builders.snapshot(store, virtual=False)
