"""What `sched tenants` and `sched fairness` gather from a store."""

import pytest

from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.job import Job
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.run import Claimed
from rota.common.store import Store
from rota.scheduler import fairness, tenants
from rota.scheduler.fairness import Report
from tests.support import builders
from tests.support.builders import GROUP, HANDLER
from tests.support.definitions import job


async def publish(store: Store, *refs: str, group: str = GROUP) -> None:
    """Make jobs known."""
    jobs: list[Job] = [job(ref, every="1h", group=group) for ref in refs]
    await Catalog(store.link).publish(group, jobs)


async def begin(store: Store, *refs: str, group: str = GROUP) -> list[Claimed]:
    """Let runs begin."""
    await builders.register(store, groups=(group,))
    for tenant, _, name in (ref.partition("/") for ref in refs):
        await builders.enqueue(store, builders.occurrence(tenant, name), group=group)
    return (await builders.claim(store, len(refs), group=group)).runs


async def test_tenants(store: Store) -> None:
    """A line tells jobs, runs, the limits in force and the last failure of a tenant."""
    await publish(store, "acme/a", "acme/b", "acme/c", "bolt/a", "calm/a")
    limits = TenantLimits(weight=2.0, max_concurrency=1, interval_ms=600.0, max_backlog=9)
    await Limiter(store).limit(GROUP, GroupLimits(tenants={"acme": limits}))
    await begin(store, "acme/a")
    await builders.enqueue(store, *(builders.occurrence("acme", name) for name in "bc"))
    (run,) = await begin(store, "bolt/a")
    await builders.complete(store, run, "dead")
    await builders.shift(store, 5_000)
    acme, bolt, calm = await tenants.gather(store.link)

    assert (3, 2, 1, True, 0) == (acme.jobs, acme.queued, acme.running, acme.limited, acme.dead)
    assert (2.0, 1, "100/m", 9) == (
        *(acme.weight, acme.max_concurrency, acme.rate_limit, acme.max_backlog),
    )
    assert 5_000 <= acme.oldest_ms < 6_000
    assert (1, 0, 0, False, 1) == (bolt.jobs, bolt.queued, bolt.running, bolt.limited, bolt.dead)
    assert bolt.last_failure is not None
    assert run.job_id == bolt.last_failure.job_id
    assert 5_000 <= bolt.last_failure.ms_ago < 6_000
    assert ("calm", None, None, 0) == (
        *(calm.tenant, calm.max_concurrency, calm.last_failure, calm.oldest_ms),
    )


async def test_tenant_without_jobs(store: Store) -> None:
    """A tenant whose jobs were removed is told while it has runs under way, and what it gets."""
    await publish(store, "acme/a")
    await begin(store, "gone/a")

    async def pause(_: float) -> None:
        await builders.shift(store, 1_000)

    lines = await tenants.gather(store.link)
    found = await fairness.measure(store.link, GROUP, 10.0, pause)

    assert [("acme", 1, 0), ("gone", 0, 1)] == [(it.tenant, it.jobs, it.running) for it in lines]
    assert [("gone", 10)] == [(it.tenant, round(it.service_s)) for it in found.tenants]


async def test_tenant_that_comes(store: Store) -> None:
    """What a tenant got before it was watched does not count, though it came back meanwhile."""
    (run,) = await begin(store, "acme/a")
    await builders.shift(store, 50_000)
    await builders.complete(store, run)
    await publish(store, "bolt/a")

    async def pause(_: float) -> None:
        await builders.shift(store, 1_000)
        await publish(store, "acme/a", "bolt/a")

    found = await fairness.measure(store.link, GROUP, 10.0, pause)

    assert [0.0] == [group.service_s for group in found.groups]


async def test_one_group(store: Store) -> None:
    """Of one group only its tenants are told; one that nobody knows is not found."""
    await publish(store, "acme/a")
    await publish(store, "bolt/a", group="silver")

    assert ["acme", "bolt"] == [line.tenant for line in await tenants.gather(store.link)]
    assert ["bolt"] == [line.tenant for line in await tenants.gather(store.link, "silver")]
    with pytest.raises(NotFound, match="no group 'bronze'"):
        await tenants.gather(store.link, "bronze")
    with pytest.raises(NotFound, match="no group 'bronze'"):
        await fairness.measure(store.link, "bronze", 0.0, _no_pause)


async def _no_pause(seconds: float) -> None:
    assert seconds > 0


async def test_fairness_of_what_is_watched(store: Store) -> None:
    """Only the service in the time that is watched counts, and only its waits."""
    await publish(store, "acme/a", "bolt/a")
    (run,) = await begin(store, "acme/a")
    await builders.shift(store, 50_000)
    await builders.complete(store, run)
    before = await fairness.measure(store.link, None, 0.0, _no_pause)
    found = await watch_two(store)

    assert [50] == [round(line.service_s) for line in before.tenants]
    assert {"acme": 2, "bolt": 6} == {line.tenant: round(line.service_s) for line in found.tenants}
    assert [1, 1] == [line.runs for line in found.tenants]
    assert "acme" == found.tenants[0].tenant


async def watch_two(store: Store) -> Report:
    """Return what is found while two tenants run, one after the other."""
    turns = iter([("acme", 2_000), ("bolt", 6_000)])

    async def pause(_: float) -> None:
        for tenant, ms in turns:
            (run,) = await begin(store, f"{tenant}/b")
            await builders.shift(store, ms)
            await builders.complete(store, run)
            break

    await builders.register(store, builders.WORKER, HANDLER)
    return await fairness.measure(store.link, None, 10.0, pause)


async def test_competitors(store: Store) -> None:
    """Tenants that have runs queued at every look compete, and lack what others got beyond it."""
    names = ("acme", "bolt")
    await publish(store, *(f"{name}/{number}" for name in names for number in range(9)))
    await builders.register(store)
    for name in names:
        runs = [builders.occurrence(name, str(number)) for number in range(9)]
        await builders.enqueue(store, *runs)
    first = (await builders.claim(store)).runs[0]
    slow = first.job_id.partition("/")[0]

    async def pause(_: float) -> None:
        await builders.shift(store, 1_000)  # and the other one gets nothing

    found = await fairness.measure(store.link, None, 10.0, pause)
    (group,) = found.groups

    assert {slow} < {line.tenant for line in found.tenants}
    assert slow == found.tenants[1].tenant
    assert pytest.approx(5.0, abs=0.3) == found.tenants[0].lacks_s
    assert [True, True] == [line.backlogged for line in found.tenants]
    assert pytest.approx(0.5) == group.jain
    assert 2 == group.compared
