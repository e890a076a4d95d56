"""Random sequences of operations keep the store equal to a model and to a recount of itself."""

import pytest

from rota.common import keys
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import GROUP
from tests.support.limited_walk import LimitedWalk, LossyLimitedWalk
from tests.support.lossy_walk import LossyWalk
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
@pytest.mark.parametrize("kind", [Walk, LossyWalk, LimitedWalk, LossyLimitedWalk])
async def test_random_walk(store: Store, kind: type[Walk], seed: int) -> None:
    """Whatever happens in whatever order: model, counters and recount agree, and end at zero.

    A limited walk also changes limits, and holds every claim against them. A lossy walk also
    changes servers, loses writes, adopts and sends completions again.
    """
    walk = kind(store, seed)
    await walk.register()
    for number in range(STEPS):
        await walk.step()
        if number % 5 == 0:
            await assert_equal(walk)
    assert len(walk.taken) == len(set(walk.steps))
    await walk.drain()
    await assert_drained(store)
