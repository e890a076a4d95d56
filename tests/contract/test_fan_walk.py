"""Random sequences of all that happens to runs with tasks and phases.

ROTA_WALK_SEED repeats the choices of an earlier walk; see `test_random_walk`.
"""

import os
from collections import Counter
from random import SystemRandom

import pytest

from rota.common.store import Store
from tests.support.fan_walk import FanWalk, LossyFanWalk

STEPS = 150
LONG_STEPS = 1_000
WALKS = 8


async def go(walk: FanWalk, seed: int, steps: int) -> None:
    """Walk, and let all end; on failure tell the seed and the last steps."""
    try:
        await walk.walk(steps)
        await walk.drain()
    except BaseException as error:
        error.add_note("\n".join([f"ROTA_WALK_SEED={seed}, the last steps:", *walk.tail]))
        raise


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [FanWalk, LossyFanWalk])
async def test_fan_walk(store: Store, kind: type[FanWalk], seed: int) -> None:
    """No task is lost or in two places, no run waits for nothing, and all come to their end."""
    await go(kind(store, seed), seed, STEPS)


@pytest.mark.long
@pytest.mark.parametrize("kind", [FanWalk, LossyFanWalk])
async def test_long_fan_walk(store: Store, kind: type[FanWalk]) -> None:
    """The same over many steps, from another seed each time."""
    first = int(os.getenv("ROTA_WALK_SEED", SystemRandom().randrange(1_000_000)))
    seen = Counter[str]()
    for seed in range(first, first + WALKS):
        await store.link.command("FLUSHALL")
        walk = kind(Store(store.link), seed)
        await go(walk, seed, LONG_STEPS)
        seen += walk.seen
    print(f"\nROTA_WALK_SEED={first}", *sorted(seen.items()), sep="\n")

    assert seen["work completed"] > LONG_STEPS
