"""Random sequences of all that happens to calls.

ROTA_WALK_SEED repeats the choices of an earlier walk; see `test_random_walk`.
"""

import os
from collections import Counter
from random import SystemRandom

import pytest

from rota.common.store import Store
from tests.support.call_walk import CallWalk, LossyCallWalk

STEPS = 150
LONG_STEPS = 300
WALKS = 8


async def go(walk: CallWalk, seed: int, steps: int) -> None:
    """Walk, and let all end; on failure tell the seed and the last steps."""
    try:
        await walk.walk(steps)
        await walk.drain()
    except BaseException as error:
        error.add_note("\n".join([f"ROTA_WALK_SEED={seed}, the last steps:", *walk.tail]))
        raise


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [CallWalk, LossyCallWalk])
async def test_call_walk(store: Store, kind: type[CallWalk], seed: int) -> None:
    """Each call has one end, in time or not at all, and it is told once to each who waits."""
    await go(kind(store, seed), seed, STEPS)


@pytest.mark.long
@pytest.mark.parametrize("kind", [CallWalk, LossyCallWalk])
async def test_long_call_walk(store: Store, kind: type[CallWalk]) -> None:
    """The same over many steps, from another seed each time."""
    first = int(os.getenv("ROTA_WALK_SEED", SystemRandom().randrange(1_000_000)))
    seen = Counter[str]()
    for seed in range(first, first + WALKS):
        await store.link.command("FLUSHALL")
        walk = kind(Store(store.link), seed)
        await go(walk, seed, LONG_STEPS)
        seen += walk.seen
    print(f"\nROTA_WALK_SEED={first}", *sorted(seen.items()), sep="\n")

    assert seen["work completed"] > 10 * WALKS
