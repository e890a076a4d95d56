"""At maxmemory the store refuses new work and lets the work that it has drain."""

from collections.abc import Iterator

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.embedded import EmbeddedStore
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.scripts import LEAD, RECONCILE, RECOUNT, REGISTER, script
from rota.common.state import Operation
from rota.common.store import LEASE_MS, Store
from rota.common.worker_info import REGISTRATION_MS
from tests.support import builders
from tests.support.builders import GROUP
from tests.support.definitions import job


@pytest.fixture
def url() -> Iterator[str]:
    """Return the address of a server of our own, which the test fills up."""
    with EmbeddedStore() as server:
        yield server.url


async def fill(store: Store, *, full: bool = True) -> None:
    """Let the store be at its limit, or free again."""
    await store.link.command("CONFIG", "SET", "maxmemory", 1 if full else 0)


async def test_new_work_is_refused(store: Store) -> None:
    """A full store refuses an occurrence with an error that is no outage, and changes nothing."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence())
    before = await builders.snapshot(store)
    await fill(store)
    with pytest.raises(StoreError, match="maxmemory") as caught:
        await builders.enqueue(store, builders.occurrence(job="next"))

    assert not isinstance(caught.value, StoreUnavailable)
    assert before == await builders.snapshot(store)


async def test_work_drains(store: Store) -> None:
    """A full store still claims, renews, completes, retries, gives back and rescues."""
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n}") for n in range(4)))
    await fill(store)
    await store.link.command("SCRIPT", "FLUSH")
    done, tired, back, silent = (await builders.claim(store, n=4)).runs

    assert "renewed" == await builders.renew(store, done)
    assert "completed" == await builders.complete(store, done)
    assert "retrying" == await builders.retry(store, tired, rest_ms=LEASE_MS)
    await store.release([back])
    assert [back.job_id] == [run.job_id for run in (await builders.claim(store)).runs]
    await fill(store, full=False)
    await builders.shift(store, LEASE_MS)
    await fill(store)
    taken, _ = await store.sweep(GROUP)

    assert {back.job_id, silent.job_id} == {run.job_id for run in taken}
    assert 3 == len((await builders.claim(store, n=4)).runs)


async def test_workers_register(store: Store) -> None:
    """A worker that starts when the store is full becomes known, and helps to drain it."""
    await builders.enqueue(store, builders.occurrence())
    await fill(store)
    await builders.register(store, "late")
    lives = await store.link.command("PTTL", keys.handlers(GROUP, "late"))

    assert ["late"] == [info.id for info in await Catalog(store.link).workers(GROUP)]
    assert 29_000 < lives <= REGISTRATION_MS
    assert 1 == len((await builders.claim(store, worker="late")).runs)


async def test_schedulers_lead(store: Store) -> None:
    """A scheduler leads a group, goes on to and resigns while the store is full."""
    await fill(store)
    first = await store.lead(GROUP, "s1", 6_000, wanted=True)
    second = await store.lead(GROUP, "s1", 6_000, wanted=True)
    await store.resign(GROUP, "s1")

    assert 0 < first.term == second.term
    assert "" == (await store.lead(GROUP, "s2", 6_000, wanted=False)).leader


async def test_same_jobs_are_published(store: Store) -> None:
    """A scheduler that starts with the jobs that a full store knows can publish and withdraw."""
    jobs, catalog = [job(every="1h"), job("acme/export", every="1h")], Catalog(store.link)
    await catalog.publish(GROUP, jobs)
    await fill(store)
    await catalog.publish(GROUP, jobs)
    both = await catalog.jobs(GROUP)
    await catalog.publish(GROUP, jobs[:1])

    assert {each.ref for each in jobs} == {each.ref for each in both}
    assert jobs[:1] == await catalog.jobs(GROUP)
    with pytest.raises(StoreError, match="maxmemory"):
        await catalog.publish(GROUP, [job(every="2h")])


@pytest.mark.parametrize("name", [*Operation, LEAD, RECONCILE, RECOUNT, REGISTER])
def test_only_new_work_needs_memory(name: str) -> None:
    """Each script is run by a full store, but for those that bring new work."""
    first = script(name)[0].partition(b"\n")[0]

    assert (name not in (Operation.ENQUEUE, Operation.CALL, Operation.PLAN)) == (
        b"allow-oom" in first
    )


async def test_recovers_by_itself(store: Store) -> None:
    """What was refused is accepted when there is room again."""
    await fill(store)
    with pytest.raises(StoreError, match="maxmemory"):
        await builders.enqueue(store, builders.occurrence())
    await fill(store, full=False)

    assert "queued" == (await builders.enqueue(store, builders.occurrence()))[0][0]
