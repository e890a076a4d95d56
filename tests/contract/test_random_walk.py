"""Random sequences of all transitions keep the store equal to a model of the state machine.

ROTA_WALK_SEED repeats the choices of an earlier walk. What depends on milliseconds, such as which
tenant comes first, it can't repeat: on failure the last steps are told, too.
"""

import os
from collections import Counter
from random import SystemRandom

import pytest

from rota.common.state import Operation
from rota.common.store import Store
from tests.support import damage
from tests.support.model import Move
from tests.support.stateful import Stateful
from tests.support.stateful_loss import StatefulLoss

STEPS = 300
WALKS = 10  # that each long test takes, from an empty store
LONG_STEPS = 2_000  # in each of them


async def go(walk: Stateful, seed: int, steps: int, every: int) -> None:
    """Walk, and let all end; on failure tell the seed and the last steps."""
    try:
        await walk.walk(steps, every)
        await walk.drain()
        assert walk.model.told == await walk.told()
    except BaseException as error:
        error.add_note("\n".join([f"ROTA_WALK_SEED={seed}, the last steps:", *walk.tail]))
        raise


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [Stateful, StatefulLoss])
async def test_random_walk(store: Store, kind: type[Stateful], seed: int) -> None:
    """Whatever happens in whatever order: records, queues, leases, counters are as they should be.

    A walk with losses also changes servers, loses writes or all, adopts, and reports again.
    """
    await go(kind(store, seed), seed, STEPS, every=1)


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("kind", [Stateful, StatefulLoss])
async def test_long_walk(store: Store, kind: type[Stateful], number: int) -> None:
    """The same over many steps, in which every lawful move and every repair really happens."""
    first = int(os.getenv("ROTA_WALK_SEED", SystemRandom().randrange(1_000_000)))
    print(f"\nROTA_WALK_SEED={first}")
    moves, repairs, refused = Counter[Move](), Counter[str](), Counter[str]()
    for seed in range(first, first + WALKS):
        await store.link.command("FLUSHALL")
        walk = kind(Store(store.link), seed)
        await go(walk, seed, LONG_STEPS, every=2)
        moves += walk.model.moves
        repairs += walk.repairs
        refused += walk.refused
    for (before, operation, after), times in sorted(moves.items(), key=str):
        print(f"{times:>6} {before or 'nothing':<9} {operation:<8} -> {after or 'nothing'}")
    print(f"repaired {dict(repairs)}, refused {dict(refused)}")

    assert set() == walk.lawful() - moves.keys()
    assert damage.REPAIRS == repairs.keys()
    assert set() == {move for move in moves.keys() - walk.lawful() if not excused(move, kind)}


def excused(move: Move, kind: type[Stateful]) -> bool:
    """Tell whether this is the completion of a run whose claim the store had lost."""
    return kind is StatefulLoss and move[1] is Operation.COMPLETE
