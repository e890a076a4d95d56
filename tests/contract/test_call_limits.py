"""Calls are runs of their tenant: shares, limits and the ledger hold for them as for jobs."""

from collections import Counter

from rota.common.calling import Calling
from rota.common.ledger import Attempts, Ledger
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.run import Claimed
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import GROUP, HANDLER
from tests.support.called import REF, begin, call, end


def tenants(runs: list[Claimed]) -> dict[str, int]:
    """Return how many of the runs belong to each tenant."""
    return dict(Counter(run.job_id.partition("/")[0] for run in runs))


async def limit(store: Store, *, handlers: dict[str, int] | None = None, **limits: float) -> None:
    """Limit `acme`, or handlers."""
    of_acme = TenantLimits(**limits)  # type: ignore[arg-type]
    wanted = GroupLimits(tenants={"acme": of_acme}, handlers=handlers or {})
    await Limiter(store).limit(GROUP, wanted)


async def test_fair_share(store: Store) -> None:
    """A tenant that makes very many calls gets no more than its share beside another's few jobs."""
    await builders.register(store)
    await Calling(store).place(GROUP, [call(n) for n in range(100)])
    jobs = [builders.occurrence("beta", f"job-{n}") for n in range(10)]
    await builders.enqueue(store, *jobs)

    assert {"acme": 5, "beta": 5} == tenants((await builders.claim(store, 10)).runs)


async def test_max_concurrency(store: Store) -> None:
    """Calls and jobs together are no more at a time than the tenant may run."""
    await limit(store, max_concurrency=3)
    await builders.enqueue(store, builders.occurrence())
    runs = await begin(store, *(call(n) for n in range(9)))
    assert (3, 0) == (len(runs), len((await builders.claim(store, 9)).runs))
    await end(store, next(run for run in runs if "/@" in run.job_id))

    assert 1 == len((await builders.claim(store, 9)).runs)
    assert {} == await recount.differences(store)


async def test_rate_limit(store: Store) -> None:
    """No more calls begin in a time than the tenant's rate allows."""
    await limit(store, interval_ms=1_000, burst=2)
    first = await begin(store, *(call(n) for n in range(9)))
    await builders.shift(store, 1_000)
    await store.sweep(GROUP)

    assert (2, 1) == (len(first), len((await builders.claim(store, 9)).runs))


async def test_handler_limit(store: Store) -> None:
    """A handler's limit holds for its calls, of all tenants together."""
    await limit(store, handlers={HANDLER: 2})
    runs = await begin(store, *(call(n, tenant) for n in range(3) for tenant in ("acme", "beta")))

    assert {"acme": 1, "beta": 1} == tenants(runs)
    assert {} == await recount.differences(store)


async def test_group_limit(store: Store) -> None:
    """What a group may run at a time holds for calls."""
    await Limiter(store).limit(GROUP, GroupLimits(max_concurrency=2))

    assert 2 == len(await begin(store, *(call(n) for n in range(5))))


async def test_ledger(store: Store) -> None:
    """How a call ended is in the ledger, with its attempts, worker and error."""
    (failed,) = await begin(store, call(1, attempts=2))
    await builders.retry(store, failed, 1)
    await builders.shift(store, 1)
    await store.sweep(GROUP)
    (failed,) = (await builders.claim(store)).runs
    (good,) = await begin(store, call(2))
    await end(store, failed, "dead")
    await end(store, good)
    entries = await Ledger(store.link).of(GROUP, REF, 0)
    told = [(e.job_id, e.outcome, e.attempts, e.due_ms) for e in entries if isinstance(e, Attempts)]

    assert [(good.job_id, "succeeded", 1, 0), (failed.job_id, "dead", 2, 0)] == told


async def test_shed(store: Store) -> None:
    """A tenant's backlog bounds its calls, too."""
    await limit(store, max_backlog=2)
    words = await Calling(store).place(GROUP, [call(n) for n in range(3)])

    assert ["queued", "queued", "shed"] == words
