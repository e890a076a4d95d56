"""Runs that a worker holds and the store has forgotten, whatever state it believes them in."""

from rota.common.run import Claimed
from rota.common.state import State
from rota.common.store import Store
from tests.support import backup, builders
from tests.support.builders import DUE_MS, GROUP, HOUR_MS, Seeded

# What a store may believe of a run when it has lost the claim; None: it has lost the run, too.
BELIEFS = [None, State.QUEUED, State.HELD, State.RUNNING, State.RETRYING]


async def hold(store: Store, seeded: Seeded) -> Claimed:
    """Let `WORKER` claim the run, from whatever state it is in; return the claim."""
    if await builders.state_of(store, seeded.occurrence.job_id) is None:
        await builders.enqueue(store, seeded.occurrence)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    (run,) = (await builders.claim(store)).runs
    return run


async def forget_claim(store: Store, belief: State | None, due_ms: int = DUE_MS) -> Claimed:
    """Return a run that a worker holds and the store takes to be in the state `belief`.

    If that is running, then under an older fence. The store has not noticed yet that it has lost
    writes; the next script opens its gate.
    """
    seeded = await builders.seed(store, belief, keep_ms=0, attempts=5, due_ms=due_ms)
    saved = await backup.take(store.link)
    run = await hold(store, seeded)
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    return run
