"""Rescue: the runs of a silent worker are taken back, and end if they kill every worker."""

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.message import Completion, Failure
from rota.common.run import Claimed, Rescued
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, WORKER


async def test_first_in_line(store: Store) -> None:
    """A run whose worker fell silent is the next of its tenant to start; the attempt counts."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.enqueue(store, builders.occurrence(job="waiting"))
    await builders.shift(store, LEASE_MS)
    taken, _ = await store.sweep(GROUP)
    (run,) = (await builders.claim(store)).runs

    assert [Rescued(seeded.run.job_id, WORKER, 1, "queued")] == taken
    assert (seeded.run.job_id, 2) == (run.job_id, run.attempt)
    assert run.fence > seeded.run.fence


async def test_not_before_the_lease_ends(store: Store) -> None:
    """A run is safe until its lease ends, and the sweep says how long that is."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.shift(store, LEASE_MS // 2)
    taken, wait = await store.sweep(GROUP)

    assert [] == taken
    assert LEASE_MS / 2000 - 2 < wait <= LEASE_MS / 2000
    assert State.RUNNING == await builders.state_of(store, seeded.run.job_id)


async def test_renewal(store: Store) -> None:
    """A worker that renews in time keeps its run, however long it takes."""
    seeded = await builders.seed(store, State.RUNNING)
    for _ in range(5):
        await builders.shift(store, LEASE_MS * 3 // 4)

        assert "renewed" == await builders.renew(store, seeded.run)
        assert [] == (await store.sweep(GROUP))[0]
    assert "completed" == await builders.complete(store, seeded.run)


async def test_late_renewal(store: Store) -> None:
    """A renewal after the lease's end counts as long as nobody has taken the run back."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.shift(store, LEASE_MS * 2)

    assert "renewed" == await builders.renew(store, seeded.run)
    assert [] == (await store.sweep(GROUP))[0]


async def test_lease_of_ones_own(store: Store) -> None:
    """A worker may ask for a lease of another length, at claim and at renewal."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence())
    _, claims = await store.exchange(WORKER, [], [], {GROUP: 1}, lease_ms=2_000)
    _, claimed = await store.sweep(GROUP)
    await store.renew(claims[GROUP].runs, lease_ms=60_000)
    _, renewed = await store.sweep(GROUP)

    assert 0 < claimed <= 2
    assert 55 < renewed <= 60


async def spend(store: Store, attempts: int) -> list[Rescued]:
    """Let one run kill its workers until it is over; return what the sweeps took back."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(attempts=attempts))
    taken = []
    while (await builders.claim(store)).runs:
        await builders.shift(store, LEASE_MS)
        taken += (await store.sweep(GROUP))[0]
    return taken


async def test_run_that_kills_its_workers(store: Store) -> None:
    """A run that kills its workers is dead when its attempts are spent, and the job goes on."""
    taken = await spend(store, attempts=3)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert [(1, "queued"), (2, "queued"), (3, "dead")] == [(r.attempt, r.state) for r in taken]
    assert State.DEAD == await builders.state_of(store, taken[0].job_id)
    assert (None, "dead", taken[0].job_id) == (slot.run, slot.outcome, slot.last)
    assert "queued" == (await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + 1)))[0][0]


async def test_completions_of_a_silent_worker(store: Store) -> None:
    """Whoever waits hears of each attempt that a silent worker lost, and of the end."""
    taken = await spend(store, attempts=2)
    _, entries = await store.completions(GROUP, "0-0")
    first, last = (completion for completion, _ in entries)
    lost = Failure(kind="WorkerLost", message="the lease ended without a renewal")

    assert LEASE_MS <= last.took_ms < LEASE_MS + 5_000
    assert 2 * LEASE_MS <= last.run_ms < 2 * LEASE_MS + 10_000
    assert ("retrying", 1) == (first.outcome, first.attempt)
    assert last == Completion(
        job_id=taken[0].job_id,
        tenant="acme",
        job="import",
        outcome="dead",
        attempt=2,
        worker=WORKER,
        took_ms=last.took_ms,
        run_ms=last.run_ms,
        error=lost,
    )


async def test_all_runs_of_a_worker(store: Store) -> None:
    """All that a silent worker held is taken back in one sweep; what others hold is not."""
    await builders.register(store)
    await builders.register(store, "w2")
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n:02}") for n in range(20)))
    silent = (await builders.claim(store, n=12)).runs
    alive = (await builders.claim(store, n=8, worker="w2")).runs
    await builders.shift(store, LEASE_MS - 1_000)
    await store.renew(alive)
    await builders.shift(store, 1_000)
    taken, _ = await store.sweep(GROUP)

    assert {run.job_id for run in silent} == {run.job_id for run in taken}
    assert ([], []) == await store.renew(alive)


async def test_lease_without_a_run(store: Store) -> None:
    """A lease whose run is gone is dropped."""
    await builders.register(store)
    await store.link.command("ZADD", keys.leases(GROUP), 1, "acme/gone:20270115T080000Z")

    assert ([], 60.0) == await store.sweep(GROUP)
    assert 0 == await store.link.command("EXISTS", keys.leases(GROUP))


async def test_lost_renewals_are_told_apart(store: Store) -> None:
    """A renewal of many runs, in several groups, tells exactly which are lost, and how."""
    await builders.register(store, groups=("gold", "iron"))
    await store.enqueue({name: [builders.occurrence()] for name in ("gold", "iron")})
    _, claims = await store.exchange(WORKER, [], [], {"gold": 1, "iron": 1})
    gold, iron = claims["gold"].runs[0], claims["iron"].runs[0]
    unknown = Claimed("iron", "acme/other:20270115T080000Z", 7, 1, DUE_MS, b"")
    await store.release([gold])

    assert ([gold], [unknown]) == await store.renew([iron, gold, unknown])
