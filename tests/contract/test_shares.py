"""Shares over time, by real scripts on a moved clock: service is divided by weight, in seconds."""

from collections import Counter

import pytest

from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER
from tests.support.simulation import Simulation, jain

MINUTE = 60_000
MIXED = [500, 5_000, 60_000]  # ms that the runs of a tenant take, by its number


def mixed(tenant: str) -> int:
    """Return what a run of tenant `tN` takes."""
    return MIXED[int(tenant[1:]) % len(MIXED)]


async def served(sim: Simulation, until: int, *busy: str) -> Counter[str]:
    """Return the service that each tenant gets from now to `until`."""
    before = sim.service.copy()
    await sim.work(until, *busy)
    return Counter({tenant: sim.service[tenant] - before[tenant] for tenant in busy})


async def test_equal_service(store: Store) -> None:
    """With runs of 0.5, 5 and 60 s all tenants get the same service time: Jain at least 0.98."""
    tenants = [f"t{n}" for n in range(6)]
    sim = Simulation(store, seats=10, took=mixed)
    await sim.work(5 * MINUTE, *tenants)
    given = await served(sim, 35 * MINUTE, *tenants)

    assert jain([float(given[tenant]) for tenant in tenants]) >= 0.98


async def test_weights(store: Store) -> None:
    """Weights 1, 2 and 4 give shares of 1, 2 and 4, within 5 %, whatever the runs take."""
    weights = {"t0": 1.0, "t1": 2.0, "t2": 4.0}
    limits = {name: TenantLimits(weight=weight) for name, weight in weights.items()}
    await Limiter(store).limit(GROUP, GroupLimits(tenants=limits))
    sim = Simulation(store, seats=7, took={"t0": 10_000, "t1": 3_000, "t2": 500}.__getitem__)
    await sim.work(3 * MINUTE, *weights)
    given = await served(sim, 15 * MINUTE, *weights)
    whole = sum(given.values())

    for tenant, weight in weights.items():
        assert weight / 7 == pytest.approx(given[tenant] / whole, rel=0.05)


async def test_short_beside_long(store: Store) -> None:
    """Beside runs of 600 s that leave a seat now and then a short run waits for one claim."""
    took = {"long": 600_000, "short": 1_000}
    sim = Simulation(store, seats=10, took=took.__getitem__)
    limit = GroupLimits(tenants={"long": TenantLimits(max_concurrency=8)})
    await Limiter(store).limit(GROUP, limit)
    for minute in range(1, 40):
        await sim.enqueue("short", 4)
        await sim.work(minute * MINUTE, "long")

    assert max(sim.waits["short"]) <= 1_100


async def test_lone_tenant(store: Store) -> None:
    """A tenant alone has all seats, and owes nothing when another one comes."""
    sim = Simulation(store, seats=8, took=lambda _: 2_000)
    alone = await served(sim, 10 * MINUTE, "t0")
    both = await served(sim, 14 * MINUTE, "t0", "t1")

    assert 8 * 10 * MINUTE == pytest.approx(alone["t0"], rel=0.05)
    assert both["t0"] == pytest.approx(both["t1"], rel=0.05)


@pytest.mark.parametrize("why", ["concurrency", "rate", "handler"])
async def test_blocked_tenants_let_nobody_owe(store: Store, why: str) -> None:
    """Beside many that wait for their limits a tenant uses what is left and owes nothing for it."""
    waiting = [f"w{n}" for n in range(30)]
    limit = {
        "concurrency": TenantLimits(max_concurrency=1),
        "rate": TenantLimits(interval_ms=10 * MINUTE),
        "handler": TenantLimits(),
    }[why]
    handlers = {"slow": 2} if why == "handler" else {}
    limits = GroupLimits(tenants=dict.fromkeys(waiting, limit), handlers=handlers)
    await Limiter(store).limit(GROUP, limits)
    await builders.register(store, "w1", HANDLER, "slow")
    sim = Simulation(store, seats=50, took=lambda tenant: 1_000 if tenant[0] == "t" else MINUTE)
    sim.handlers = dict.fromkeys(waiting, "slow") if why == "handler" else {}
    for tenant in waiting:
        await sim.enqueue(tenant, 30)
    await sim.work(5 * MINUTE, "t0", step=200)
    given = await served(sim, 7 * MINUTE, "t0", "t1")

    assert given["t0"] == pytest.approx(given["t1"], rel=0.1)


async def test_one_long_run_banks_nothing(store: Store) -> None:
    """A tenant that ran little for long has no credit when it queues much."""
    sim = Simulation(store, seats=10, took={"busy": 1_000, "rare": 10_000}.__getitem__)
    for second in range(0, 600, 5):  # always one run or two of it
        await sim.enqueue("rare", 1)
        await sim.work(second * 1_000, "busy", step=200)
    given = await served(sim, 12 * MINUTE, "busy", "rare")

    assert given["busy"] == pytest.approx(given["rare"], rel=0.15)


async def test_newcomer_beside_debt(store: Store) -> None:
    """While all wait for one that took too much before it was known to, who comes is next."""
    short = [f"s{n}" for n in range(9)]
    sim = Simulation(store, seats=20, took=lambda name: MINUTE if name == "long" else 1_000)
    for minute in range(2, 6):
        await sim.work(minute * MINUTE, "long", *short)
        await sim.enqueue("probe", 1)
    await sim.work(6 * MINUTE, "long", *short)

    assert 4 == len(sim.waits["probe"])
    assert max(sim.waits["probe"]) <= 1_100


async def test_raised_limit(store: Store) -> None:
    """What a limit kept a tenant from is no credit when the limit is raised."""
    one = GroupLimits(tenants={"t0": TenantLimits(max_concurrency=1)})
    await Limiter(store).limit(GROUP, one)
    sim = Simulation(store, seats=10, took=lambda _: 2_000)
    await sim.work(5 * MINUTE, "t0", "t1")
    await Limiter(store).limit(GROUP, GroupLimits(tenants={"t0": TenantLimits()}))
    given = await served(sim, 7 * MINUTE, "t0", "t1")

    assert given["t0"] == pytest.approx(given["t1"], rel=0.1)


async def test_no_name_is_first(store: Store) -> None:
    """Of tenants that always come together it is not always the same ones that are first."""
    names = [f"t{n:02}" for n in range(20)]
    ranks: dict[str, list[int]] = {name: [] for name in names}
    await builders.register(store)
    for due in range(20):
        runs = [builders.occurrence(name, due_ms=builders.DUE_MS + due) for name in names]
        await builders.enqueue(store, *runs)
        for rank in range(len(names)):
            (run,) = (await builders.claim(store)).runs
            ranks[run.job_id.partition("/")[0]].append(rank)
            await builders.complete(store, run)
        await builders.shift(store, 137)
    means = [sum(rank) / len(rank) for rank in ranks.values()]

    assert abs(sum(means[:5]) - sum(means[-5:])) / 5 < 5  # 15 if names decide
