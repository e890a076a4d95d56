"""Retry and release: a failed run rests, a returned run waits first in line."""

from rota.common.catalog import Catalog
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HOUR_MS


async def test_rest(store: Store) -> None:
    """A failed run rests as long as it was told, then it is queued for the next attempt."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.retry(store, seeded.run, rest_ms=20_000)
    await builders.shift(store, 15_000)
    _, wait = await store.sweep(GROUP)
    resting = await builders.state_of(store, seeded.run.job_id)
    await builders.shift(store, 5_000)
    await store.sweep(GROUP)

    assert 3 < wait <= 5
    assert State.RETRYING == resting
    assert State.QUEUED == await builders.state_of(store, seeded.run.job_id)


async def test_resting_run_keeps_its_slot(store: Store) -> None:
    """While a run rests its job does not start again, and nobody can claim the run."""
    seeded = await builders.seed(store, State.RETRYING)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert seeded.run.job_id == slot.run
    assert [] == (await builders.claim(store)).runs


async def test_whoever_waits_hears_of_the_retry(store: Store) -> None:
    """A failed attempt is published with the rest before the next one."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.retry(store, seeded.run, rest_ms=20_000)
    _, [(completion, _)] = await store.completions(GROUP, "0-0")

    assert ("retrying", 1, 20_000) == (completion.outcome, completion.attempt, completion.next_ms)


async def test_rested_runs_wait_their_turn(store: Store) -> None:
    """A run that has rested goes behind the runs of its tenant that wait already."""
    await builders.seed(store, State.RETRYING)
    await builders.enqueue(store, builders.occurrence(job="waiting"))
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    claim = await builders.claim(store, n=2)

    assert ["waiting", "import"] == [r.job_id.split("/")[1].split(":")[0] for r in claim.runs]


async def test_next_of_several(store: Store) -> None:
    """The sweep waits for whatever comes first: the end of a rest or of a lease."""
    await builders.seed(store, State.RUNNING, job="running")
    other = await builders.seed(store, State.RUNNING)
    await builders.retry(store, other.run, rest_ms=3_000)
    _, rest_first = await store.sweep(GROUP)
    await builders.shift(store, 3_000)
    _, lease_first = await store.sweep(GROUP)

    assert 1 < rest_first <= 3
    assert 9 < lease_first <= 12


async def test_nothing_to_wait_for(store: Store) -> None:
    """Where nothing rests or runs the sweep is content with a minute."""
    assert ([], 60.0) == await store.sweep(GROUP)


async def test_release(store: Store) -> None:
    """A run that is given back loses no attempt and is the first of its tenant to start again."""
    seeded = await builders.seed(store, State.RUNNING, attempts=1)
    await builders.enqueue(store, builders.occurrence(job="waiting"))
    await store.release([seeded.run])
    (run,) = (await builders.claim(store)).runs

    assert (seeded.run.job_id, 1) == (run.job_id, run.attempt)
    assert run.fence > seeded.run.fence


async def test_release_tells_nobody(store: Store) -> None:
    """Giving a run back is no completion, and its job's slot stays taken."""
    seeded = await builders.seed(store, State.RUNNING)
    await store.release([seeded.run])
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert "0-0" == await store.last_completion(GROUP)
    assert seeded.run.job_id == slot.run
