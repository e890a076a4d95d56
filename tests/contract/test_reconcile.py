"""Reconcile: what can't happen is repaired by one walk, and what is sound is left alone."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from rota.common import keys
from rota.common.link import Link
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from rota.scheduler import reconciler
from rota.scheduler.reconciler import Walk
from rota.worker import Context, Jobs
from tests.support import builders, recount, workers
from tests.support.builders import DUE_MS, GROUP, HANDLER
from tests.support.clusters import Cluster
from tests.support.walk import Walk as RandomWalk

Repairs = list[tuple[str, str]]
JOB_ID = builders.occurrence().job_id
REF = "acme/import"


async def walk(store: Store) -> Repairs:
    """Walk over the group once; return what was repaired."""
    repairs: Repairs = []
    whole = Walk(GROUP, store)
    while not whole.over:
        repairs += await whole.step()
    return repairs


async def plant(store: Store, state: State, *commands: tuple[Any, ...]) -> None:
    """Bring a run into `state`, then do to the store what Rota never does."""
    await builders.seed(store, state)
    for command in commands:
        await store.link.command(*command)


PLANTED: dict[str, tuple[State, list[tuple[Any, ...]], Repairs]] = {
    "lease deleted": (
        State.RUNNING,
        [("ZREM", keys.leases(GROUP), JOB_ID)],
        [("lease_missing", JOB_ID)],
    ),
    "rest deleted": (
        State.RETRYING,
        [("ZREM", keys.retries(GROUP), JOB_ID)],
        [("rest_missing", JOB_ID)],
    ),
    "pointer deleted": (
        State.QUEUED,
        [("LREM", keys.queue(GROUP, "acme"), 0, JOB_ID)],
        [("pointer_missing", JOB_ID)],
    ),
    "pointer doubled": (
        State.QUEUED,
        [("RPUSH", keys.queue(GROUP, "acme"), JOB_ID, JOB_ID)],
        [("pointer_doubled", "acme")],
    ),
    "tenant not active": (
        State.QUEUED,
        [("ZREM", keys.active(GROUP), "acme")],
        [("tenant_inactive", "acme")],
    ),
    "held pointer deleted": (
        State.HELD,
        [("DEL", keys.hold(GROUP, HANDLER))],
        [("pointer_missing", JOB_ID)],
    ),
    "handler not known as held": (
        State.HELD,
        [("DEL", keys.held(GROUP))],
        [("pointer_missing", JOB_ID)],
    ),
    "lease of nobody": (
        State.QUEUED,
        [("ZADD", keys.leases(GROUP), DUE_MS * 2, "acme/gone:1", DUE_MS * 2, JOB_ID)],
        [("lease_stray", "acme/gone:1"), ("lease_stray", JOB_ID)],
    ),
    "rest of nobody": (
        State.QUEUED,
        [("ZADD", keys.retries(GROUP), DUE_MS * 2, "acme/gone:1", DUE_MS * 2, JOB_ID)],
        [("rest_stray", "acme/gone:1"), ("rest_stray", JOB_ID)],
    ),
    "slot of an ended run": (
        State.SUCCEEDED,
        [("HSET", keys.slot(GROUP, REF), "run", JOB_ID)],
        [("slot_stale", REF)],
    ),
    "slot of nobody": (
        State.DEAD,
        [("HSET", keys.slot(GROUP, "acme/lost"), "run", "acme/lost:1")],
        [("slot_stale", "acme/lost")],
    ),
    "running too high": (
        State.RUNNING,
        [("HINCRBY", keys.root(GROUP), "running", 3)],
        [("running_miscounted", "4 for 1")],
    ),
    "running too low": (
        State.QUEUED,
        [("HINCRBY", keys.root(GROUP), "running", -3)],
        [("running_miscounted", "-3 for 0")],
    ),
    "weight too high": (
        State.RUNNING,
        [("HINCRBYFLOAT", keys.root(GROUP), "weight", 3)],
        [("weight_miscounted", "4 for 1")],
    ),
    "tenant's running too high": (
        State.RUNNING,
        [("HINCRBY", keys.tenant(GROUP, "acme"), "running", 3)],
        [("tenant_miscounted", "acme")],
    ),
    "tenant at rest counts as busy": (
        State.SUCCEEDED,
        [("HSET", keys.tenant(GROUP, "acme"), "busy", 1)],
        [("tenant_miscounted", "acme")],
    ),
    "tenant at rest counts as running": (
        State.RETRYING,
        [("HSET", keys.tenant(GROUP, "acme"), "running", -3)],
        [("tenant_miscounted", "acme")],
    ),
    "busy tenant does not count": (
        State.QUEUED,
        [
            ("HSET", keys.tenant(GROUP, "acme"), "busy", 0),
            ("HSET", keys.root(GROUP), "weight", 0),
        ],
        [("tenant_miscounted", "acme"), ("weight_miscounted", "0 for 1")],
    ),
    "tenant forgotten": (
        State.RUNNING,
        [("DEL", keys.tenant(GROUP, "acme"))],
        [("tenant_miscounted", "acme")],
    ),
}


@pytest.mark.parametrize("name", PLANTED)
async def test_repairs(store: Store, name: str) -> None:
    """One walk repairs each kind of damage, tells and counts it; the next one finds nothing."""
    state, commands, expected = PLANTED[name]
    await plant(store, state, *commands)
    repairs = await walk(store)
    row = await store.link.command("HGETALL", keys.repairs(GROUP))

    assert sorted(expected) == sorted(repairs)
    assert Counter(word for word, _ in expected) == {w.decode(): int(n) for w, n in row.items()}
    assert {} == await recount.differences(store)
    assert [] == await walk(store)


@pytest.mark.parametrize(
    "name", ["lease deleted", "rest deleted", "pointer deleted", "held pointer deleted"]
)
async def test_repaired_run_goes_on(store: Store, name: str) -> None:
    """A run that nobody would have found again is claimed and completed after the repair."""
    state, commands, _ = PLANTED[name]
    await plant(store, state, *commands)
    await walk(store)
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)
    await builders.register(store)
    (run,) = (await builders.claim(store)).runs

    assert JOB_ID == run.job_id
    assert "completed" == await builders.complete(store, run)
    assert {} == await recount.differences(store)


async def test_live_worker_keeps_its_run(store: Store) -> None:
    """A run whose lease is brought back stays with the worker that renews it."""
    seeded = await builders.seed(store, State.RUNNING)
    await store.link.command("ZREM", keys.leases(GROUP), JOB_ID)
    await walk(store)

    assert "renewed" == await builders.renew(store, seeded.run)
    assert "completed" == await builders.complete(store, seeded.run)


@pytest.mark.parametrize("state", State)
async def test_sound(store: Store, state: State) -> None:
    """A run in any state, as Rota leaves it, needs no repair, and none is made."""
    await builders.seed(store, state)
    before = await builders.snapshot(store, virtual=False)

    assert [] == await walk(store)
    assert before == await builders.snapshot(store, virtual=False)


async def test_open_gate(store: Store) -> None:
    """Nothing is repaired while live workers still report what they hold."""
    await plant(store, State.RUNNING, ("ZREM", keys.leases(GROUP), JOB_ID))
    await builders.change_server(store)

    assert [] == await walk(store)
    assert await store.link.command("ZSCORE", keys.leases(GROUP), JOB_ID) is None
    await builders.close_gate(store)
    assert [("lease_missing", JOB_ID)] == await walk(store)


async def test_too_many_to_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that is too large for one script is not counted, and the walk says so."""
    monkeypatch.setattr(reconciler, "_MOST", 2)
    await plant(store, State.RUNNING, ("HINCRBY", keys.root(GROUP), "running", 3))
    ((word, _),) = await walk(store)

    assert "too_many" == word
    assert b"4" == await store.link.command("HGET", keys.root(GROUP), "running")


async def test_many_queued(store: Store) -> None:
    """In a queue too long to be searched no pointer is taken for missing."""
    runs = [builders.occurrence(job=f"job{n}") for n in range(1_500)]
    await builders.enqueue(store, *runs)

    assert [] == await walk(store)


async def test_other_groups(store: Store) -> None:
    """A walk leaves other groups alone, whatever their names have in common."""
    await builders.seed(store, State.RUNNING, group="golden")
    await store.link.command("ZREM", keys.leases("golden"), JOB_ID)

    assert [] == await walk(store)


async def test_under_load(url: str, store: Store) -> None:
    """While workers claim, complete, fail and retry, walks find nothing to repair."""
    jobs = Jobs()

    @jobs.handler(HANDLER)
    async def work(ctx: Context) -> None:
        await asyncio.sleep(0)

    async def told() -> bool:
        return int(await store.link.command("XLEN", keys.done(GROUP))) >= 1_500

    repairs: Repairs = []
    async with workers.working(url, jobs, concurrency=20):
        for part in range(5):
            await builders.enqueue(store, *workers.runs_of(300, f"part-{part}"))
            repairs += await walk(store)
        while not await told():
            repairs += await walk(store)

    assert [] == repairs


@pytest.mark.parametrize("seed", range(4))
async def test_random_walk_is_sound(store: Store, seed: int) -> None:
    """Whatever workers and schedulers do in whatever order, there is nothing to repair."""
    random = RandomWalk(store, seed)
    await random.register()
    for _ in range(25):
        for _ in range(8):
            await random.step()

        assert [] == await walk(store)


async def drop_lease(store: Store, random: Random) -> None:
    """Lose the leases of some runs."""
    await _drop_some(store, random, keys.leases(GROUP))


async def drop_rest(store: Store, random: Random) -> None:
    """Lose the rests of some runs."""
    await _drop_some(store, random, keys.retries(GROUP))


async def drop_active(store: Store, random: Random) -> None:
    """Forget that some tenants have queued runs."""
    await _drop_some(store, random, keys.active(GROUP))


async def _drop_some(store: Store, random: Random, key: str) -> None:
    for name in await store.link.command("ZRANGE", key, 0, -1):
        if random.random() < 0.5:
            await store.link.command("ZREM", key, name)


async def spoil_queue(store: Store, random: Random) -> None:
    """Lose, or double, the pointers of a tenant."""
    queue = keys.queue(GROUP, random.choice(["acme", "beta", "ceta"]))
    ids = await store.link.command("LRANGE", queue, 0, -1)
    if random.random() < 0.5:
        await store.link.command("DEL", queue)
    elif ids:
        await store.link.command("RPUSH", queue, *ids)


async def spoil_held(store: Store, random: Random) -> None:
    """Lose what is set aside."""
    await store.link.command("DEL", keys.held(GROUP), keys.hold(GROUP, "mail.send"))


async def spoil_slot(store: Store, random: Random) -> None:
    """Let a job that has never run wait for a run that there is not."""
    await store.link.command("HSET", keys.slot(GROUP, "acme/never"), "run", "acme/never:1")


async def spoil_counters(store: Store, random: Random) -> None:
    """Count wrong."""
    root, tenant = keys.root(GROUP), keys.tenant(GROUP, random.choice(["acme", "beta"]))
    await store.link.command("HINCRBY", root, "running", random.choice([-3, 3]))
    await store.link.command("HINCRBYFLOAT", root, "weight", random.choice([-3, 3]))
    await store.link.command("HINCRBY", tenant, "running", random.choice([-3, 3]))
    await store.link.command("HSET", tenant, "busy", random.choice([0, 1]))


DAMAGES: list[Callable[[Store, Random], Awaitable[None]]] = [
    drop_lease, drop_rest, drop_active, spoil_queue, spoil_held, spoil_slot, spoil_counters,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
async def test_random_damage(store: Store, seed: int) -> None:
    """After any damage and one walk the counters are right, no run is lost, and all ends well."""
    random = RandomWalk(store, seed)
    await random.register()
    for _ in range(8):
        for _ in range(15):
            await random.step()
        for damage in random.random.sample(DAMAGES, random.random.randint(1, 4)):
            await damage(store, random.random)
        await walk(store)

        assert [] == await walk(store)
        assert {} == await recount.differences(store)
        assert random.states == recount.states(await builders.snapshot(store))
    await random.drain()

    assert {} == await recount.differences(store)


async def test_cluster(cluster: Cluster) -> None:
    """In a cluster a walk finds the keys of its group on the node that has them."""
    store = Store(Link(cluster.url))
    try:
        await plant(store, State.RUNNING, ("ZREM", keys.leases(GROUP), JOB_ID))

        assert [("lease_missing", JOB_ID)] == await walk(store)
    finally:
        await store.link.close()
