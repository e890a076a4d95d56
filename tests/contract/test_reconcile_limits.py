"""Reconcile under limits: lost places in rings and wrong counts are repaired."""

import pytest

from rota.common import keys
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.store import Store
from rota.scheduler.reconciler import Walk
from tests.support import builders, recount
from tests.support.builders import GROUP, HANDLER
from tests.support.limited_walk import LimitedWalk

ROOT, TENANT = keys.root(GROUP), keys.tenant(GROUP, "acme")


async def walk(store: Store) -> list[tuple[str, str]]:
    """Walk over the group once; return what was repaired."""
    repairs: list[tuple[str, str]] = []
    whole = Walk(GROUP, store)
    while not whole.over:
        repairs += await whole.step()
    return repairs


async def queue(
    store: Store, limits: GroupLimits, count: int = 3, priority: str = "normal"
) -> None:
    """Queue runs of `acme` under limits, and let one of them run."""
    await builders.register(store)
    await Limiter(store).limit(GROUP, limits)
    runs = [builders.occurrence(job=f"j{n}", priority=priority) for n in range(count)]
    await builders.enqueue(store, *runs)
    await builders.claim(store)


HANDLERS = GroupLimits(handlers={HANDLER: 2})
ONE = GroupLimits(tenants={"acme": TenantLimits(max_concurrency=1)})


@pytest.mark.parametrize(
    ("limits", "command", "repair"),
    [
        (HANDLERS, ("HSET", keys.running(GROUP), HANDLER, 7), ("handler_miscounted", HANDLER)),
        (HANDLERS, ("DEL", keys.running(GROUP)), ("handler_miscounted", HANDLER)),
        (HANDLERS, ("DEL", keys.active(GROUP, HANDLER)), ("tenant_inactive", "acme")),
        (HANDLERS, ("HDEL", TENANT, "queues"), ("tenant_inactive", "acme")),
        (HANDLERS, ("DEL", keys.caps(GROUP)), ("tenant_inactive", "acme")),
        (ONE, ("DEL", keys.limited(GROUP)), ("tenant_inactive", "acme")),
        (ONE, ("HSET", TENANT, "owed", 5), ("tenant_miscounted", "acme")),
        (ONE, ("HINCRBY", TENANT, "running", 1), ("tenant_miscounted", "acme")),
    ],
    ids=str,
)
async def test_repaired(
    store: Store, limits: GroupLimits, command: tuple[str | int, ...], repair: tuple[str, str]
) -> None:
    """What was lost or is counted wrong is put right by one walk, and all runs start in the end."""
    await queue(store, limits)
    await store.link.command(*command)

    assert [repair] == await walk(store)
    assert [] == await walk(store)
    await Limiter(store).limit(GROUP, GroupLimits(tenants={"acme": TenantLimits()}))
    assert 2 == len((await builders.claim(store, 9)).runs)
    assert {} == await recount.differences(store)


async def test_lost_priority(store: Store) -> None:
    """A queue of another priority that nobody knows of is found."""
    await queue(store, GroupLimits(), priority="low")
    await store.link.command("HDEL", TENANT, "queues")
    await store.link.command("DEL", keys.active(GROUP))

    assert [("tenant_inactive", "acme")] == await walk(store)
    assert 2 == len((await builders.claim(store, 9)).runs)


@pytest.mark.parametrize("seed", range(4))
async def test_limits_are_sound(store: Store, seed: int) -> None:
    """Whatever happens under limits that change, there is nothing to repair."""
    random = LimitedWalk(store, seed)
    await random.register()
    for _ in range(25):
        for _ in range(8):
            await random.step()

        assert [] == await walk(store)
