"""Each end of a run is one entry in the ledger of its job, and tells how it came to that."""

from typing import Any

import msgspec
import pytest

from rota.common import keys
from rota.common.intervention import Intervention
from rota.common.ledger import Attempts, Entry, Ledger, Stretch, entries
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.message import Failure
from rota.common.reconciliation import Reconciliation
from rota.common.retention import USUAL, Retention
from rota.common.run import Claimed, Ended, Resting
from rota.common.state import Operation, State
from rota.common.store import Store
from tests.support import builders, calls
from tests.support.builders import DUE_MS, GROUP, HOUR_MS

REF = "acme/import"
DAY_MS = 24 * HOUR_MS
FAILED = Failure(kind="ValueError", message="é" * 60 + "\nmore", traceback="long")


async def ledger(store: Store, ref: str = REF) -> list[Entry]:
    """Return what is kept of a job."""
    return await Ledger(store.link).of(GROUP, ref, 0)


async def only(store: Store, ref: str = REF) -> Attempts:
    """Return the only entry of a job, of a run."""
    (entry,) = await ledger(store, ref)
    assert isinstance(entry, Attempts)
    return entry


async def end(store: Store, run: Claimed, outcome: str, **over: Any) -> None:
    """Report how a run ended."""
    told = builders.completion(run, outcome, **over)
    await store.exchange(builders.WORKER, [Ended(run, outcome, told, b"")], [], {})


async def fail(store: Store, run: Claimed, error: Failure) -> Claimed:
    """Let an attempt fail, and return the next one, an hour later."""
    told = builders.completion(run, "retrying", error=error)
    await store.exchange(builders.WORKER, [], [Resting(run, 1_000, told)], {})
    return await next_attempt(store)


async def next_attempt(store: Store) -> Claimed:
    """Return the next attempt, an hour later."""
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store)
    return (await builders.claim(store)).runs[0]


async def test_succeeded(store: Store) -> None:
    """A success tells when it was due, queued, claimed and over, and by whom, in 120 bytes."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    await builders.shift(store, 5_000)
    await builders.complete(store, seeded.run)
    entry = await only(store)
    (row,) = await store.link.command("LRANGE", keys.ledger(GROUP, REF), 0, -1)

    assert ("succeeded", seeded.run.job_id, DUE_MS) == (entry.outcome, entry.job_id, entry.due_ms)
    assert (1, builders.WORKER, [], 0) == (
        entry.attempts, entry.worker, entry.errors, entry.replays,
    )  # fmt: skip
    assert 0 < entry.queued_ms <= entry.first_ms == entry.claimed_ms <= entry.ended_ms - 5_000
    assert len(row) <= 120


async def test_retries(store: Store) -> None:
    """The last three errors are kept, each in a line of 100 bytes, and the first claim's time."""
    run = (await builders.seed(store, State.RUNNING, attempts=9)).run
    run = await fail(store, run, Failure(kind="First"))
    run = await fail(store, run, FAILED)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)  # its worker is silent
    run = await next_attempt(store)
    await end(store, run, "dead", error=Failure(kind="Timeout", message="after 900 s"))
    entry = await only(store)
    kinds, texts = zip(*entry.errors, strict=True)

    assert ("dead", 4) == (entry.outcome, entry.attempts)
    assert ("ValueError", "WorkerLost", "Timeout") == kinds
    assert ("é" * 50, "after 900 s") == (texts[0], texts[2])
    assert entry.claimed_ms - entry.first_ms >= 4 * HOUR_MS


async def test_worker_lost(store: Store) -> None:
    """A run that killed its workers until its attempts were spent is dead, and tells why."""
    await builders.seed(store, State.RUNNING, attempts=1)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    entry = await only(store)

    assert ("dead", ["WorkerLost"]) == (entry.outcome, [kind for kind, _ in entry.errors])


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.RETRYING])
async def test_cancelled_while_it_waits(store: Store, state: State) -> None:
    """A run that is cancelled while it waits is noted, once, with the attempts that it had."""
    run = (await builders.seed(store, state)).run
    for _ in range(2):
        await Intervention(store).cancel([(GROUP, run.job_id)])
    entry = await only(store)

    assert ("cancelled", run.job_id) == (entry.outcome, entry.job_id)
    assert (1 if state is State.RETRYING else 0) == entry.attempts


@pytest.mark.parametrize("operation", [Operation.RETRY, Operation.RELEASE, Operation.RESCUE])
async def test_cancelled_while_it_runs(store: Store, operation: Operation) -> None:
    """A run that ends as cancelled in another way than by its completion is noted, once."""
    seeded = await builders.seed(store, State.RUNNING)
    await Intervention(store).cancel([(GROUP, seeded.run.job_id)])
    await builders.shift(store, HOUR_MS)
    for _ in range(2):
        await calls.call(store, operation, calls.arguments(operation, seeded))

    assert "cancelled" == (await only(store)).outcome


async def test_ahead(store: Store) -> None:
    """A run tells how many of its tenant, and how many other tenants, waited when it was queued."""
    await builders.register(store)
    await builders.enqueue(
        store,
        *(builders.occurrence("acme", f"job{n}") for n in range(3)),
        *(builders.occurrence("beta", f"job{n}") for n in range(2)),
        builders.occurrence("ceta"),
        builders.occurrence("acme"),
        builders.occurrence("delta"),
    )
    for run in (await builders.claim(store, 20)).runs:
        await builders.complete(store, run)
    acme, delta = await only(store), await only(store, "delta/import")

    assert (3, 2) == (acme.ahead, acme.others)
    assert (0, 3) == (delta.ahead, delta.others)


async def test_triggered(store: Store) -> None:
    """A triggered run is known by its own name, and was due at no time."""
    seeded = await builders.seed(store, State.SUCCEEDED, due_ms=0)
    entry = await only(store)

    assert (seeded.run.job_id, 0) == (entry.job_id, entry.due_ms)
    assert entry.at_ms == entry.queued_ms > 0


async def test_taken_again(store: Store) -> None:
    """A completion that is sent again, and again after a restart, adds no entry."""
    run = (await builders.seed(store, State.RUNNING, keep_ms=0)).run
    for _ in range(2):
        await builders.complete(store, run)
    await builders.change_server(store)
    await builders.complete(store, run)

    assert "succeeded" == (await only(store)).outcome


async def test_forgotten(store: Store) -> None:
    """A completion of a run that the store has lost is noted as it is reported."""
    await builders.register(store)
    run = Claimed(GROUP, builders.occurrence().job_id, 7, 2, DUE_MS, b"")
    await builders.change_server(store)
    await end(store, run, "dead", error=FAILED, took_ms=5)
    entry = await only(store)

    assert ("dead", run.job_id, 2) == (entry.outcome, entry.job_id, entry.attempts)
    assert (0, 1) == (entry.queued_ms, len(entry.errors))


async def test_replayed(store: Store) -> None:
    """A dead letter that is replayed has an entry for each of its lives; a purge takes none."""
    run = (await builders.seed(store, State.DEAD)).run
    for outcome in ("dead", "succeeded"):
        await Intervention(store).replay(GROUP, run.job_id)
        await builders.complete(store, (await builders.claim(store)).runs[0], outcome)
        await Intervention(store).purge(GROUP, "acme/import:other")
    found = [entry for entry in await ledger(store) if isinstance(entry, Attempts)]

    assert {run.job_id} == {entry.job_id for entry in found}
    assert [("dead", 0), ("dead", 1), ("succeeded", 2)] == sorted(
        (entry.outcome, entry.replays) for entry in found
    )


async def test_superseded_by_adoption(store: Store) -> None:
    """A run that gives way to one which a worker brings back is skipped, until it comes back."""
    before = (await builders.seed(store, State.RUNNING, due_ms=DUE_MS - 1)).run
    copy = keys.run(GROUP, before.job_id)
    await builders.complete(store, before)
    await store.link.command("DEL", copy, keys.ledger(GROUP, REF), keys.slot(GROUP, REF))
    later = builders.occurrence()
    await builders.enqueue(store, later)

    assert ["adopted"] == await builders.adopt(store, before)
    entry = await only(store)
    assert ("skipped", later.job_id, before.job_id) == (entry.outcome, entry.job_id, entry.way)

    await builders.change_server(store)
    await builders.complete(store, Claimed(GROUP, later.job_id, before.fence + 1, 1, DUE_MS, b""))
    assert "succeeded" == (await only(store)).outcome


async def test_record_gone(store: Store) -> None:
    """A run whose record has gone is lost: the slow walk says so, or the next occurrence."""
    for number, repair in enumerate([True, False]):
        due_ms = DUE_MS + 2 * number
        await builders.enqueue(store, builders.occurrence(due_ms=due_ms))
        await store.link.command("DEL", keys.run(GROUP, builders.occurrence(due_ms=due_ms).job_id))
        if repair:
            await Reconciliation(store).reconcile(GROUP, [("slot", REF)])
        await builders.enqueue(store, builders.occurrence(due_ms=due_ms + 1))
        await builders.close_gate(store)
        await Intervention(store).cancel([(GROUP, builders.occurrence(due_ms=due_ms + 1).job_id)])
    found = [(entry.outcome, entry.at_ms - DUE_MS) for entry in await ledger(store)]

    assert [("cancelled", 3), ("lost", 2), ("cancelled", 1), ("lost", 0)] == found


async def test_bounded(store: Store) -> None:
    """The last runs are kept, and not for longer than promised after the last of them."""
    await builders.register(store)
    for number in range(3 * USUAL.runs):
        await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + number))
        await builders.complete(store, (await builders.claim(store)).runs[0])
    found = await ledger(store)
    length = await store.link.command("LLEN", keys.ledger(GROUP, REF))
    left_ms = await store.link.command("PTTL", keys.ledger(GROUP, REF))

    assert [3 * USUAL.runs - n for n in range(1, USUAL.runs + 1)] == [
        entry.at_ms - DUE_MS for entry in found
    ]
    assert length <= USUAL.runs + 5
    assert USUAL.days * DAY_MS <= left_ms <= (USUAL.days + 1) * DAY_MS


async def test_as_the_group_says(store: Store) -> None:
    """A group keeps as many runs, for as many days, as it says; who reads keeps to that at once."""
    key = keys.ledger(GROUP, REF)
    await builders.register(store)
    await Limiter(store).limit(GROUP, GroupLimits(ledger=Retention(runs=30, days=90)))
    for number in range(40):
        await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + number))
        await builders.complete(store, (await builders.claim(store)).runs[0])
    many, left_ms = await ledger(store), await store.link.command("PTTL", key)
    await Limiter(store).limit(GROUP, GroupLimits(ledger=Retention(runs=2, days=1)))
    few = await ledger(store)
    await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + 40))
    await builders.complete(store, (await builders.claim(store)).runs[0])

    assert list(range(39, 9, -1)) == [entry.at_ms - DUE_MS for entry in many]
    assert 90 * DAY_MS <= left_ms <= 91 * DAY_MS
    assert [39, 38] == [entry.at_ms - DUE_MS for entry in few]
    assert 2 == await store.link.command("LLEN", key)
    assert Retention(runs=2, days=1) == await Ledger(store.link).retention(GROUP)


async def test_what_is_kept_is_no_limit(store: Store) -> None:
    """A group that says only what it keeps costs its claims no more than one that says nothing."""
    await Limiter(store).limit(GROUP, GroupLimits(ledger=Retention(runs=2)))

    assert None is await store.link.command("HGET", keys.root(GROUP), "limited")


async def test_lives_on(store: Store) -> None:
    """Whenever a run ends, what its job is remembered by stays for as long as promised."""
    key = keys.ledger(GROUP, REF)
    for number, hours in enumerate([0, 0, 1, 23, 23, 23, 28 * 24, 5, 28 * 24]):
        left_ms = await store.link.command("PTTL", key)
        await builders.shift(store, hours * HOUR_MS)
        await store.link.command("PEXPIRE", key, max(1, left_ms - hours * HOUR_MS))
        await builders.register(store)
        await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + number))
        await builders.complete(store, (await builders.claim(store)).runs[0])

        assert number + 1 == len(await ledger(store))
        assert await store.link.command("PTTL", key) >= USUAL.days * DAY_MS - 1_000


async def test_old_and_strange_entries(store: Store) -> None:
    """What is older than promised is not shown, nor what a later version wrote."""
    await builders.seed(store, State.SUCCEEDED)
    key = keys.ledger(GROUP, REF)
    await store.link.command("LPUSH", key, msgspec.msgpack.encode([3, "x"]))
    rows = await store.link.command("LRANGE", key, 0, -1)
    ended_ms = (await only(store)).ended_ms

    assert 1 == len(entries(REF, rows, ended_ms + USUAL.days * DAY_MS - 1))
    assert [] == entries(REF, rows, ended_ms + USUAL.days * DAY_MS)


async def test_shed(store: Store) -> None:
    """What a tenant's full backlog refuses is told as shed; a trigger leaves no trace."""
    limits = GroupLimits(tenants={"acme": TenantLimits(max_backlog=1)})
    await Limiter(store).limit(GROUP, limits)
    first, second = (
        builders.occurrence(due_ms=DUE_MS + n * HOUR_MS, job=f"job{n}") for n in (0, 1)
    )
    later = builders.occurrence(due_ms=DUE_MS + 2 * HOUR_MS, job="job1")
    by_hand = builders.occurrence(due_ms=0, job="job2")
    await builders.enqueue(store, first, second, later, by_hand)

    (entry,) = await ledger(store, "acme/job1")
    assert isinstance(entry, Stretch)
    assert ("shed", second.due_ms, later.due_ms, 2) == (
        entry.outcome, entry.from_ms, entry.to_ms, entry.times
    )  # fmt: skip
    assert [] == await ledger(store, "acme/job2")
