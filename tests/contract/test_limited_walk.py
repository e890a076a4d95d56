"""Random sequences of transitions, while limits come, change and go, keep within them."""

import pytest

from rota.common import keys
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import GROUP
from tests.support.limited_loss import LimitedLoss
from tests.support.limited_walk import LimitedWalk
from tests.support.walk import Walk

STEPS = 300


async def assert_equal(walk: Walk) -> None:
    """Assert that the store is what the model says, and its counters what a recount gives."""
    space = await builders.snapshot(walk.store)

    assert walk.states == recount.states(space)
    assert walk.slots == recount.slots(space)
    assert recount.recount(space) == recount.counted(space)


async def assert_drained(store: Store) -> None:
    """Assert that nothing is left in flight, and that nothing counts as if there were."""
    space = await builders.snapshot(store)

    assert ({}, {}) == (recount.states(space), recount.slots(space))
    assert recount.recount(space) == recount.counted(space)
    assert 0 == recount.counted(space)["running"] == recount.counted(space)["weight"]
    assert keys.held(GROUP) not in space


@pytest.mark.parametrize("seed", range(6))
async def test_limited_walk(store: Store, seed: int) -> None:
    """Whatever happens in whatever order: no limit is exceeded, and nothing that may start waits.

    What the store holds is what the model says, and its counters are what a recount gives.
    """
    walk = LimitedWalk(store, seed)
    await walk.register()
    for number in range(STEPS):
        await walk.step()
        if number % 5 == 0:
            await assert_equal(walk)
    assert len(walk.taken) == len(set(walk.steps))
    await walk.drain()
    await assert_drained(store)


@pytest.mark.parametrize("seed", range(6))
async def test_limited_loss(store: Store, seed: int) -> None:
    """The same while the store loses writes or all, and workers bring back what they hold."""
    walk = LimitedLoss(store, seed)
    try:
        await walk.walk(STEPS)
        await walk.drain()
    except BaseException as error:
        error.add_note("\n".join([f"seed {seed}, the last steps:", *walk.tail]))
        raise
