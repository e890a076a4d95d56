"""Fair shares: tenants get the same service, however many runs they queue and however long each."""

from collections import Counter, defaultdict
from collections.abc import Callable

from rota.common import keys
from rota.common.run import Claimed
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP

QUEUED = 50


def tenant_of(run: Claimed) -> str:
    """Return the tenant of a run."""
    return run.job_id.partition("/")[0]


async def backlog(store: Store, *tenants: str, count: int = QUEUED) -> None:
    """Queue `count` runs for each tenant."""
    await builders.register(store)
    for tenant in tenants:
        runs = [builders.occurrence(tenant, f"job{number:04}") for number in range(count)]
        await builders.enqueue(store, *runs)


async def work(store: Store, count: int, took_ms: Callable[[str], int]) -> list[str]:
    """Run `count` runs one after the other; return whose they were."""
    served = []
    for _ in range(count):
        (run,) = (await builders.claim(store)).runs
        await builders.shift(store, took_ms(tenant_of(run)))
        await builders.complete(store, run)
        served.append(tenant_of(run))
    return served


async def test_equal_tenants_take_turns(store: Store) -> None:
    """Two tenants whose runs take equally long get every other start."""
    await backlog(store, "acme", "beta")
    claimed = (await builders.claim(store, n=40)).runs

    tenants = [tenant_of(run) for run in claimed]
    assert all({"acme", "beta"} == set(tenants[i : i + 2]) for i in range(0, 40, 2))


async def test_a_flood_delays_nobody(store: Store) -> None:
    """A tenant that queues a thousand runs does not delay one that queues a few later."""
    await backlog(store, "flood", count=1_000)
    await work(store, 10, lambda _: 100)
    await backlog(store, "quiet", count=5)
    claimed = (await builders.claim(store, n=10)).runs

    assert 5 == Counter(tenant_of(run) for run in claimed)["quiet"]


async def test_service_not_starts(store: Store) -> None:
    """A tenant with long runs starts fewer; in service time the two differ by a run at most."""
    lengths = {"long": 2_000, "short": 200}
    await backlog(store, "long", "short", count=80)
    starts = Counter(await work(store, 77, lengths.__getitem__))
    service = {tenant: starts[tenant] * ms for tenant, ms in lengths.items()}

    assert starts["short"] > 5 * starts["long"] > 0
    assert abs(service["long"] - service["short"]) <= 2_000 + 200


async def test_long_runs_pay_while_they_run(store: Store) -> None:
    """A run that is not over yet counts already: its tenant waits while the other catches up."""
    await backlog(store, "long", "short")
    held = next(r for r in (await builders.claim(store, n=2)).runs if tenant_of(r) == "long")
    await builders.shift(store, 10_000)
    await store.renew([held])
    served = await work(store, 20, lambda _: 100)

    assert {"short"} == set(served)


async def test_newcomer_starts_at_once(store: Store) -> None:
    """A tenant that comes while another has worked alone for long is next."""
    await backlog(store, "alone")
    await work(store, 30, lambda _: 5_000)
    await builders.claim(store, n=3)
    await backlog(store, "newcomer")

    assert "newcomer" == (await work(store, 1, lambda _: 5_000))[0]


async def test_nobody_owes_for_an_idle_fleet(store: Store) -> None:
    """A tenant that used the fleet alone is not made to wait until others have caught up."""
    await backlog(store, "alone")
    await work(store, 30, lambda _: 5_000)
    await backlog(store, "newcomer")
    served = Counter(await work(store, 10, lambda _: 5_000))

    assert 4 <= served["alone"] <= 6


async def test_nobody_banks_idle_time(store: Store) -> None:
    """A tenant that was idle for long gets its share from then on, not what it left unused."""
    await backlog(store, "idler", count=1)
    await work(store, 1, lambda _: 5_000)
    await backlog(store, "steady")
    await work(store, 30, lambda _: 5_000)
    idler = [builders.occurrence("idler", f"late{number}") for number in range(QUEUED)]
    await builders.enqueue(store, *idler)
    served = Counter(await work(store, 10, lambda _: 5_000))

    assert 4 <= served["idler"] <= 6


async def test_many_tenants(store: Store) -> None:
    """Among many tenants nobody starts a second run before everybody has started one."""
    tenants = [f"t{number:03}" for number in range(40)]
    await backlog(store, *tenants, count=3)
    rounds: dict[str, list[int]] = defaultdict(list)
    for position in range(3):
        for run in (await builders.claim(store, n=40)).runs:
            rounds[tenant_of(run)].append(position)

    assert {tenant: [0, 1, 2] for tenant in tenants} == rounds


async def test_one_tenant_without_others(store: Store) -> None:
    """Fairness costs nobody anything: a tenant alone gets all that is asked for."""
    await backlog(store, "alone")

    assert QUEUED == len((await builders.claim(store, n=QUEUED)).runs)


async def test_released_runs_are_not_paid_for(store: Store) -> None:
    """A tenant pays for what it used, not for a run that was given back at once."""
    await backlog(store, "acme", "beta")
    first = (await builders.claim(store)).runs
    await store.release(first)
    claimed = [tenant_of(run) for run in (await builders.claim(store, n=20)).runs]

    assert 9 <= Counter(claimed)["acme"] <= 11


async def test_counters_of_an_idle_group(store: Store) -> None:
    """When all is over nothing counts as running, and no tenant counts as busy."""
    for state in (State.SUCCEEDED, State.DEAD):
        await builders.seed(store, state, tenant=state.value)
    root = await store.link.command("HMGET", keys.root(GROUP), "running", "weight")
    tenants = [
        await store.link.command("HMGET", keys.tenant(GROUP, state.value), "running", "busy")
        for state in (State.SUCCEEDED, State.DEAD)
    ]

    assert [b"0", b"0"] == root
    assert [[b"0", b"0"]] * 2 == tenants
